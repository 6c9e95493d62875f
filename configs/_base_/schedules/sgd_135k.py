"""135,000 iterations at batch 64, 72 epochs of COCO: long enough for a start from nothing.

Warm-up for 1,000 iterations, steps at 120,000 and 130,000.
"""

train_cfg = dict(type="IterBasedTrainLoop", max_iters=135000, val_interval=5000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.04, momentum=0.9, weight_decay=0.0001),
    clip_grad=dict(max_norm=10, norm_type=2),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=135000,
        milestones=[120000, 130000],
        gamma=0.1,
    ),
]

# With --auto-scale-lr the rate follows the real batch size: 8 GPUs x 8 images here.
auto_scale_lr = dict(enable=False, base_batch_size=64)
