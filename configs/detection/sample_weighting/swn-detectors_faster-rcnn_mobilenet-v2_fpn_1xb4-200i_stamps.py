"""Three papers in one config: DetectoRS, GFL's head as RPN, and a network that weights the RoIs.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/detection/sample_weighting/swn-detectors_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py
Hardware  two CPU cores
Expected  trains; its AP has not been measured
"""

_base_ = [
    "../../_base_/models/faster_rcnn_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_200i.py",
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
    rpn_head=dict(
        _delete_=True,
        type="mmext.GFLHead",
        num_classes=1,
        in_channels=96,
        feat_channels=96,
        stacked_convs=1,
        reg_max=8,
        anchor_generator=dict(
            type="AnchorGenerator",
            ratios=[1.0],
            octave_base_scale=8,
            scales_per_octave=1,
            strides=[8, 16, 32],
        ),
        loss_cls=dict(type="mmext.QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_dfl=dict(type="mmext.DistributionFocalLoss", loss_weight=0.25),
        loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
    ),
    roi_head=dict(bbox_head=dict(type="mmext.SWNShared2FCBBoxHead", num_classes=6, swn=dict())),
    train_cfg=dict(
        rpn=dict(
            _delete_=True,
            assigner=dict(type="ATSSAssigner", topk=9),
            allowed_border=-1,
            pos_weight=-1,
        ),
        rpn_proposal=dict(score_thr=0.0),  # GFL's head asks for one
    ),
    test_cfg=dict(rpn=dict(score_thr=0.0)),
)
optim_wrapper = dict(
    constructor="mmext.SWNOptimWrapperConstructor",
    paramwise_cfg=dict(
        swn=dict(type="Adam", lr=1e-3, weight_decay=1e-4),
        custom_keys={"_context": dict(lr_mult=0.01)},  # as DetectoRS's own config has it under Adam
    ),
)
