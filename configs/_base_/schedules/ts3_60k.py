"""20,000 iterations on the labels, then five rounds of 8,000; an optimizer for each member.

Rates of the students are those of the same author's supervision-by-registration, not confirmed for
TS3; the rest is ours.
"""

train_cfg = dict(
    type="mmext.TS3TrainLoop",
    warmup_iters=20000,
    round_iters=8000,
    rounds=5,
    val_interval=4000,
)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mmext.TS3OptimWrapperConstructor",
    # the stages' rates are 4 times that of the trunk, those of biases double
    student_a=dict(
        optimizer=dict(type="SGD", lr=5e-5, momentum=0.9, weight_decay=5e-4, nesterov=True)
    ),
    student_b=dict(optimizer=dict(type="RMSprop", lr=2.5e-4)),
    teacher=dict(optimizer=dict(type="Adam", lr=2e-4, betas=(0.5, 0.999))),
)
param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[36000, 52000], gamma=0.5)]

# Members step in turn, so each is wrapped by itself where there are several ranks.
model_wrapper_cfg = dict(type="MMSeparateDistributedDataParallel")
custom_hooks = [dict(type="mmext.TS3Report")]
