"""3,000 iterations of SGD at rate 0.05, cosine to zero: small pictures on a CPU."""

train_cfg = dict(type="IterBasedTrainLoop", max_iters=3000, val_interval=3000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=5e-4)
)
param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=False, begin=0, end=3000, T_max=3000)]
