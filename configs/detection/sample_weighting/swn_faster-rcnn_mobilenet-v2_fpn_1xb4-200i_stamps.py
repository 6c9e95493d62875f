"""Learned sample weights in a small Faster R-CNN: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/detection/sample_weighting/swn_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py
Hardware  two CPU cores
Expected  AP of 0.02 to 0.07, the arm "+ learned" of docs/evidence/sample_weighting.json
"""

_base_ = [
    "../../_base_/models/faster_rcnn_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_200i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    roi_head=dict(bbox_head=dict(type="mmext.SWNShared2FCBBoxHead", num_classes=6, swn=dict()))
)
