"""40 epochs of SGD at batch 16: a short linear warm-up, then steps at epochs 36 and 39."""

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=40, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=40, milestones=[36, 39], gamma=0.1),
]
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.0001)
)

# With --auto-scale-lr the rate follows the real batch size: 8 GPUs x 2 images here.
auto_scale_lr = dict(enable=False, base_batch_size=16)
