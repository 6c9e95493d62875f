"""90 epochs of SGD at 256 pictures a batch, rate 0.1, five epochs of warm-up, cosine to zero."""

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=90, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        begin=5,
        end=90,
        T_max=85,
        convert_to_iter_based=True,
    ),
]

# With --auto-scale-lr the rate follows the real batch size: 8 GPUs x 32 pictures here.
auto_scale_lr = dict(enable=False, base_batch_size=256)
