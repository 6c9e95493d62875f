"""25 epochs of SGD at rate 0.05, cosine to zero: small pictures on a CPU.

A residual label's matrix is a parameter like others, but for weight decay, which would draw it back
to the uniform label.
"""

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=25, val_interval=5)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys={"residual_matrix": dict(decay_mult=0.0)}),
)
param_scheduler = [
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        begin=0,
        end=25,
        T_max=25,
        convert_to_iter_based=True,
    ),
]
