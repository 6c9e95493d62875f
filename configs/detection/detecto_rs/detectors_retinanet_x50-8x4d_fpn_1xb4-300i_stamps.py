"""DetectoRS with ResNeXt in a small RetinaNet from random weights: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/train.py
          configs/detection/detecto_rs/detectors_retinanet_x50-8x4d_fpn_1xb4-300i_stamps.py
Hardware  two CPU cores
Expected  trains; its AP has not been measured
"""

_base_ = [
    "../../_base_/models/retinanet_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

net = dict(
    type="mmext.DetectoRS_ResNeXt",
    depth=50,
    groups=8,
    base_width=4,
    base_channels=16,
    norm_cfg=dict(type="BN", requires_grad=True),
    conv_cfg=dict(type="mmext.ConvAWS"),
    sac=dict(type="mmext.SAC", use_deform=True),
    stage_with_sac=(False, True, True, True),
)
model = dict(
    backbone=dict(_delete_=True, output_img=True, **net),
    neck=dict(
        _delete_=True,
        type="mmext.RFP",
        in_channels=[64, 128, 256, 512],
        out_channels=96,
        start_level=1,
        num_outs=3,
        norm_cfg=dict(type="GN", num_groups=32, requires_grad=True),
        aspp_out_channels=24,
        rfp_backbone=dict(rfp_inplanes=96, **net),
    ),
    bbox_head=dict(num_classes=6),
)
