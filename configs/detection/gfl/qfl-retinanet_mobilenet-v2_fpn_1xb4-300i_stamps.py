"""RetinaNet with quality labels on photographic cut-outs: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py &&
          python tools/train.py
          configs/detection/gfl/qfl-retinanet_mobilenet-v2_fpn_1xb4-300i_stamps.py
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
    bbox_head=dict(
        type="mmext.QualityRetinaHead",
        num_classes=6,
        loss_cls=dict(_delete_=True, type="mmext.QualityFocalLoss"),
    )
)
