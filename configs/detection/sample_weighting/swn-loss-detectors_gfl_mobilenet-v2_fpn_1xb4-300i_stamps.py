"""DetectoRS, GFL's losses, and boxes weighted by the inverse of their loss, in one config.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/detection/sample_weighting/swn-loss-detectors_gfl_mobilenet-v2_fpn_1xb4-300i_stamps.py
Hardware  two CPU cores
Expected  trains; its AP has not been measured
"""

_base_ = [
    "../../_base_/models/gfl_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

net = dict(
    type="mmext.SACBackbone",
    backbone={{_base_.model.backbone}},
    select="layer[3-7].*.depthwise_conv.conv",
    use_deform=False,
)
model = dict(
    backbone=dict(_delete_=True, type="mmext.RFPFeedback", output_img=True, backbone=net),
    neck=dict(
        type="mmext.RFP",
        aspp_out_channels=24,
        rfp_backbone=dict(
            type="mmext.RFPFeedback",
            backbone=net,
            rfp_inplanes=96,
            stages=("backbone.layer3.0", "backbone.layer5.0", "backbone.layer6.0"),
            channels=(32, 96, 160),
        ),
    ),
    bbox_head=dict(
        type="mmext.GFLHead",
        num_classes=6,
        loss_cls=dict(type="mmext.QualityFocalLoss"),
        loss_dfl=dict(type="mmext.DistributionFocalLoss"),
        loss_bbox=dict(
            _delete_=True, type="mmext.SWNLoss", loss=dict(type="GIoULoss", loss_weight=2.0)
        ),
    ),
)
