"""GFL version 2 on tree crowns: minutes on a CPU.

Run       python tools/data/trees.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/detection/gfl/gfl-v2_mobilenet-v2_fpn_1xb4-200i_trees.py
Hardware  two CPU cores
Expected  AP50 0.337, AP 0.116 on validation: one run, seed 0
"""

_base_ = [
    "../../_base_/models/gfl_mobilenet-v2_fpn.py",
    "../../_base_/datasets/trees_detection.py",
    "../../_base_/schedules/adamw_200i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.GFLv2Head",
        num_classes=1,
        avg_factor_floor="paper",  # also what makes several ranks equal one
        loss_cls=dict(type="mmext.QualityFocalLoss"),
        loss_dfl=dict(type="mmext.DistributionFocalLoss"),
    )
)
