"""25 epochs of SGD, 64 clips a batch, rate 0.001, a tenth of it at epoch 15: STM's fine-tuning."""

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=25, val_begin=1, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

param_scheduler = [
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=25, milestones=[15], gamma=0.1),
]
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.001, momentum=0.9, weight_decay=0.0005)
)

# With --auto-scale-lr the rate follows the real batch size: 8 GPUs x 8 clips here.
auto_scale_lr = dict(enable=False, base_batch_size=64)
