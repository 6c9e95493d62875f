"""RetinaNet, IoU-balanced losses, where boxes are the only question: one class, features that stay.

Run       python tools/data/stamps.py --one-class && python tools/data/mobilenet_v2.py &&
          python tools/train.py
          configs/detection/iou_balanced/iou-balanced_retinanet_mobilenet-v2_fpn_1xb8-400i_stamps-one-class.py
Hardware  two CPU cores, minutes
Expected  an arm of ``make evidence STUDY=iou_balanced``; the folder's README has what came out
"""

_base_ = [
    "../../_base_/models/retinanet_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_one_class_detection.py",
    "../../_base_/schedules/adamw_400i.py",
    "../../_base_/runtime_iters.py",
]

find_unused_parameters = True  # the backbone freezes only after the distributed wrapper has counted

model = dict(
    # Frozen: in a few hundred iterations its features would only get worse, and runs differ less.
    backbone=dict(out_indices=(2, 4, 6), frozen_stages=7),
    neck=dict(in_channels=[32, 96, 320]),
    bbox_head=dict(
        type="mmext.IoUBalancedRetinaHead",
        num_classes=1,
        iou_balance=dict(eta=1.5, lam=1.5, w_loc="auto", cls_scope="level"),
    ),
)
