"""DNL in a narrow SlowOnly from random weights: minutes on a CPU.

Run       python tools/data/camera_motion.py && python tools/train.py
          configs/action/dnl/dnl_slowonly_r50_1xb4-300i_motion.py
Hardware  two CPU cores
Expected  trains; its accuracy has not been measured
"""

_base_ = [
    "../../_base_/models/slowonly_r50.py",
    "../../_base_/datasets/motion_action.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_action_iters.py",
]

model = dict(
    backbone=dict(
        type="mmext.ResNet3dSlowOnlyDNL",
        pretrained=None,
        base_channels=8,
        non_local=((0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0, 1, 0), (0, 0, 0)),
        non_local_cfg=dict(
            type="mmext.DisentangledNonLocal3d", sub_sample=True, norm_cfg=dict(type="BN3d")
        ),
    ),
    cls_head=dict(in_channels=256, num_classes=7, dropout_ratio=0.0),
)


def _pipeline(crop, **sampling):
    return [
        dict(type="SampleFrames", clip_len=8, frame_interval=2, num_clips=1, **sampling),
        dict(type="RawFrameDecode"),
        crop,
        dict(type="FormatShape", input_format="NCTHW"),
        dict(type="PackActionInputs"),
    ]


train_pipeline = _pipeline(dict(type="RandomCrop", size=64))
test_pipeline = _pipeline(dict(type="CenterCrop", crop_size=64), test_mode=True)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
