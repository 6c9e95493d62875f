"""400 steps in which plain SGD's rate is found between 1e-4 and 10; configs name the loop."""

train_cfg = dict(
    max_iters=400,
    val_interval=400,
    space={"optim_wrapper.optimizer.lr": dict(basis=[1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0])},
)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01))
