"""Recursive feature pyramid in a small Faster R-CNN: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/detection/detecto_rs/rfp_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py
Hardware  two CPU cores
Expected  an arm of docs/evidence/detectors.json, three unpaired seeds
"""

_base_ = [
    "../../_base_/models/faster_rcnn_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_200i.py",
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
    roi_head=dict(bbox_head=dict(num_classes=6)),
)
