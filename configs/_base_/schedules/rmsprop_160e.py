"""160 epochs of RMSprop, the rate halved after 60, 90 and 110, a fifth after 140: for hourglasses.

Of the same author's supervision-by-registration, with a batch of 16; not confirmed for TS3.
"""

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=160, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="RMSprop", lr=2.5e-4))
param_scheduler = [
    dict(type="MultiStepLR", by_epoch=True, milestones=[60, 90, 110], gamma=0.5),
    dict(type="MultiStepLR", by_epoch=True, milestones=[140], gamma=0.2),
]
