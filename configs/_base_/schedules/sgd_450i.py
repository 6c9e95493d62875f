"""450 iterations of SGD at rate 0.05, which does not fall: small pictures on a CPU."""

train_cfg = dict(type="IterBasedTrainLoop", max_iters=450, val_interval=450)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=5e-4)
)
param_scheduler = [dict(type="ConstantLR", by_epoch=False, factor=1.0)]
