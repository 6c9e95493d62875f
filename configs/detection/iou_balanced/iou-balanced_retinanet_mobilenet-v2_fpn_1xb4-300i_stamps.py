"""RetinaNet with IoU-balanced losses on photographic cut-outs: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/detection/iou_balanced/iou-balanced_retinanet_mobilenet-v2_fpn_1xb4-300i_stamps.py
Hardware  two CPU cores
Expected  AP 0.138 +- 0.033, AP90 0.023 +- 0.012: three unpaired seeds, in
          docs/evidence/detection.json
"""

_base_ = [
    "../../_base_/models/retinanet_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.IoUBalancedRetinaHead",
        num_classes=6,
        iou_balance=dict(eta=1.5, lam=1.5, w_loc="auto", cls_scope="level"),
    )
)
