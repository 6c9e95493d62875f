"""RetinaNet with IoU-balanced losses on tree crowns: minutes on a CPU.

Run       python tools/data/trees.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/detection/iou_balanced/iou-balanced_retinanet_mobilenet-v2_fpn_1xb4-200i_trees.py
Hardware  two CPU cores
Expected  AP50 0.360, AP 0.111 on validation: one run, seed 0
"""

_base_ = [
    "../../_base_/models/retinanet_mobilenet-v2_fpn.py",
    "../../_base_/datasets/trees_detection.py",
    "../../_base_/schedules/adamw_200i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.IoUBalancedRetinaHead",
        num_classes=1,
        iou_balance=dict(eta=1.5, lam=1.5, w_loc="auto", cls_scope="level"),
    )
)
