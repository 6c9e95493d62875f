"""13,000 iterations of SGD after a training on other data: steps at 10,000 and 12,000."""

train_cfg = dict(type="IterBasedTrainLoop", max_iters=13000, val_interval=13000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type="MultiStepLR", by_epoch=False, begin=0, end=13000, milestones=[10000, 12000], gamma=0.1
    ),
]
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.001, momentum=0.9, weight_decay=0.0001)
)

# With --auto-scale-lr the rate follows the real batch size: 8 GPUs x 1 clip of 2 frames here.
auto_scale_lr = dict(enable=False, base_batch_size=8)
