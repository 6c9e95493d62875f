"""800 iterations of AdamW, warm-up of an eighth, cosine to zero: a schedule for minutes on CPUs."""

train_cfg = dict(type="IterBasedTrainLoop", max_iters=800, val_interval=400)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.05))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, end=800, T_max=700),
]
