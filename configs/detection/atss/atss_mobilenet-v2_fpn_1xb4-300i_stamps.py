"""ATSS finds photographed things on photographs: mmdet's ATSS head, boxes assigned by ours.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py &&
          python tools/train.py configs/detection/atss/atss_mobilenet-v2_fpn_1xb4-300i_stamps.py
Hardware  two CPU cores, minutes
Expected  AP 0.107 +- 0.006, AP90 0.012 +- 0.003: three unpaired seeds, in
          docs/evidence/detection.json
"""

_base_ = [
    "../../_base_/models/atss_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    bbox_head=dict(num_classes=6), train_cfg=dict(assigner=dict(type="mmext.ATSSAssigner"))
)
