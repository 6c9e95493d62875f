"""STM on camera motion from random weights, a small net: two minutes on a CPU.

Run       python tools/data/camera_motion.py &&
          python tools/train.py configs/action/stm/stm_r14_1xb8-800i_motion.py
Hardware  one CPU core, about two minutes
Expected  top-1 of 0.85, the arm "STM" of docs/evidence/action.json; single frames stay at chance,
          0.14
"""

_base_ = [
    "../../_base_/models/tsm_r50.py",
    "../../_base_/datasets/motion_action.py",
    "../../_base_/schedules/adamw_800i.py",
    "../../_base_/runtime_action_iters.py",
]

model = dict(
    backbone=dict(
        type="mmext.ResNetSTM",
        depth=14,
        base_channels=16,
        pretrained=None,
        # Without the last stage: of 64 x 64 pixels it would see four places.
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
    ),
    # On so short a schedule, dropout and a start near zero cost more than they bring.
    cls_head=dict(num_classes=7, in_channels=256, dropout_ratio=0.0, init_std=0.01, topk=(1,)),
)
train_dataloader = dict(batch_size=8)
test_dataloader = dict(
    dataset=dict(
        pipeline=[  # the paper's test in small: several samplings in time, one crop
            dict(type="mmext.SegmentRepeatSample", num_segments=8, num_repeats=3, seed=0),
            dict(type="RawFrameDecode"),
            dict(type="CenterCrop", crop_size=64),
            dict(type="FormatShape", input_format="NCHW"),
            dict(type="PackActionInputs"),
        ]
    )
)
