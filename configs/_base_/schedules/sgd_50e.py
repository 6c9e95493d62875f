"""50 epochs of SGD, 64 clips a batch, rate 0.01, a tenth of it at epochs 30, 40, 45: STM's own."""

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=50, val_begin=1, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

param_scheduler = [
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=50, milestones=[30, 40, 45], gamma=0.1),
]
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.0005)
)

# With --auto-scale-lr the rate follows the real batch size: 8 GPUs x 8 clips here.
auto_scale_lr = dict(enable=False, base_batch_size=64)
