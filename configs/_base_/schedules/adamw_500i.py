"""500 iterations of AdamW, short warm-up, cosine to zero: a schedule for minutes on a CPU."""

train_cfg = dict(type="IterBasedTrainLoop", max_iters=500, val_interval=100)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.05))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=20, end=500, T_max=480),
]
