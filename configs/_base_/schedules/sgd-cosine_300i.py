"""300 iterations of SGD at rate 0.05, cosine to zero: small pictures on a CPU."""

train_cfg = dict(type="IterBasedTrainLoop", max_iters=300, val_interval=300)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=5e-4)
)
param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=False, begin=0, end=300, T_max=300)]
