"""Averaged weights, as in FBNetV3's recipe, where 30 % of 500 digits bear a wrong label.

The rate does not fall, so the last iterate still moves; the average starts short and grows.

Run       python tools/data/digits.py && python tools/train.py
          configs/classification/fbnetv3/ema_convnet_1xb32-450i_digits.py
Hardware  a CPU core, less than a minute
Expected  an arm of the study averaged_digits; see README.md
"""

_base_ = [
    "../../_base_/datasets/digits_classification.py",
    "../../_base_/schedules/sgd_450i.py",
    "../../_base_/runtime_classification_iters.py",
]

model = dict(
    type="mmext.ImageClassifier",
    data_preprocessor=dict(mean=[77.8], std=[95.9]),  # of the digits
    backbone=dict(type="mmext.SmallConvNet", channels=(16, 32), norm_cfg=dict(type="BN")),
    head=dict(
        type="mmext.LinearClsHead",
        in_channels=32,
        num_classes=10,
        loss=dict(type="mmext.CrossEntropyLoss"),
    ),
)
train_dataloader = dict(
    sampler=dict(_delete_=True, type="InfiniteSampler", shuffle=True),
    dataset=dict(
        _delete_=True,
        type="mmext.NoisyLabels",
        rate=0.3,
        dataset=dict(
            type=_base_.dataset_type,
            ann_file=_base_.ann_file,
            indices=500,
            pipeline=_base_.train_pipeline,
        ),
    ),
)
# The last 797 are for the one look at the end.
val_dataloader = dict(dataset=dict(indices=list(range(500, 1000))))

# configs/_base_/ema.py averages over thousands of iterations; here over 10 + t, at most 200.
custom_hooks = [
    dict(
        type="EMAHook",
        ema_type="MomentumAnnealingEMA",
        momentum=0.005,
        gamma=10,
        update_buffers=True,
    )
]
