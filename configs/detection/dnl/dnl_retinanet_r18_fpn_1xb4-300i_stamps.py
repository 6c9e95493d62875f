"""DNL in a small RetinaNet from random weights: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/train.py
          configs/detection/dnl/dnl_retinanet_r18_fpn_1xb4-300i_stamps.py
Hardware  two CPU cores
Expected  trains; its AP has not been measured
"""

_base_ = [
    "../../_base_/models/retinanet_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

block = dict(type="mmext.DisentangledNonLocal2d", variant="detection")
model = dict(
    backbone=dict(
        _delete_=True,
        type="mmext.PluginResNet",
        depth=18,
        base_channels=16,
        norm_cfg=dict(type="BN", requires_grad=True),
        plugins=[
            dict(cfg=block, stages=(False, False, True, False), blocks=(-2,), position="after_add")
        ],
    ),
    neck=dict(in_channels=[16, 32, 64, 128], start_level=1),
    bbox_head=dict(num_classes=6),
)
