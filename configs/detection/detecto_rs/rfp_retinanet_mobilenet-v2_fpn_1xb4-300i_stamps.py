"""Recursive feature pyramid over MobileNetV2, which the paper does not know: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/train.py
          configs/detection/detecto_rs/rfp_retinanet_mobilenet-v2_fpn_1xb4-300i_stamps.py
Hardware  two CPU cores
Expected  trains; its AP has not been measured
"""

_base_ = [
    "../../_base_/models/retinanet_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    backbone=dict(
        _delete_=True, type="mmext.RFPFeedback", output_img=True, backbone={{_base_.model.backbone}}
    ),
    neck=dict(
        type="mmext.RFP",
        aspp_out_channels=24,
        rfp_backbone=dict(
            type="mmext.RFPFeedback",
            backbone={{_base_.model.backbone}},
            rfp_inplanes=96,
            stages=("layer3.0", "layer5.0", "layer6.0"),
            channels=(32, 96, 160),
        ),
    ),
    bbox_head=dict(num_classes=6),
)
