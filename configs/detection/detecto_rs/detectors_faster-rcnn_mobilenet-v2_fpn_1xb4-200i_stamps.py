"""DetectoRS, both halves, in a small Faster R-CNN: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/detection/detecto_rs/detectors_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py
Hardware  two CPU cores
Expected  an arm of docs/evidence/detectors.json, three unpaired seeds
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
    select="layer[3-7].*.depthwise_conv.conv",  # strides 8 to 32, as in the paper
    use_deform=False,  # the fast variant: deformed looks take three times as long here
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
    roi_head=dict(bbox_head=dict(num_classes=6)),
)

# A context adds up all channels of a map's mean. Adam moves each of its weights by the whole rate,
# however small the gradient, so at the full rate their sum would drown the map within a few steps.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"_context": dict(lr_mult=0.01)}))
