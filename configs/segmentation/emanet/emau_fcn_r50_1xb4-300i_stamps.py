"""EM attention as a plug-in of a narrow ResNet from random weights, in an FCN: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/train.py
          configs/segmentation/emanet/emau_fcn_r50_1xb4-300i_stamps.py
Hardware  two CPU cores
Expected  trains; its mIoU has not been measured
"""

_base_ = [
    "../../_base_/models/fcn_mobilenet-v2.py",
    "../../_base_/datasets/stamps_segmentation.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_segmentation_small.py",
]

norm_cfg = dict(type="GN", num_groups=8, requires_grad=True)
model = dict(
    backbone=dict(
        _delete_=True,
        type="ResNet",
        depth=50,
        base_channels=16,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        out_indices=(2, 3),
        norm_cfg=norm_cfg,
        plugins=[
            dict(
                cfg=dict(type="mmext.EMAUnit2d", num_bases=16, norm_cfg=norm_cfg),
                stages=(False, False, False, True),
                position="after_conv3",
            )
        ],
    ),
    decode_head=dict(in_channels=512),
)
