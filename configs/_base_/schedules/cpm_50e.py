"""50 epochs of SGD with Nesterov's momentum, the rate halved after 30 and 40: for pose machines.

Of the same author's supervision-by-registration, with a batch of 8; not confirmed for TS3.
"""

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=50, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

# The stages' rates are 4 times that of the trunk, those of biases double.
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mmext.CPMOptimWrapperConstructor",
    optimizer=dict(type="SGD", lr=5e-5, momentum=0.9, weight_decay=5e-4, nesterov=True),
)
param_scheduler = [dict(type="MultiStepLR", by_epoch=True, milestones=[30, 40], gamma=0.5)]
