"""Faster R-CNN, convolutional head, IoU-balanced losses, photographic cut-outs: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/detection/iou_balanced/iou-balanced_faster-rcnn-4conv1fc_mobilenet-v2_fpn_1xb4-300i_stamps.py
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
            type="mmext.IoUBalancedShared4Conv1FCBBoxHead",
            num_classes=6,
            conv_out_channels=96,
            norm_cfg=dict(type="GN", num_groups=32),
            iou_balance=dict(eta=1.3, lam=1.5, w_loc="auto"),
        )
    )
)
