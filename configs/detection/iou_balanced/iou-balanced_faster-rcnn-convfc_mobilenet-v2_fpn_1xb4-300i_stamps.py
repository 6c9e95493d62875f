"""Faster R-CNN, a branch for classes and one for boxes, with IoU-balanced losses: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/detection/iou_balanced/iou-balanced_faster-rcnn-convfc_mobilenet-v2_fpn_1xb4-300i_stamps.py
Hardware  two CPU cores
Expected  trains; its AP has not been measured
"""

_base_ = [
    "../../_base_/models/faster_rcnn_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    roi_head=dict(
        bbox_head=dict(
            type="mmext.IoUBalancedConvFCBBoxHead",
            num_classes=6,
            num_cls_fcs=1,
            num_reg_fcs=1,
            iou_balance=dict(eta=1.3, lam=1.5, w_loc="auto"),
        )
    )
)
