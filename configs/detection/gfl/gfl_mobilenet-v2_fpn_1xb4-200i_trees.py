"""GFL finds tree crowns: real photographs, a real detector, minutes on a CPU.

Run       make demo, or its parts: python tools/data/trees.py &&
          python tools/data/mobilenet_v2.py &&
          python tools/train.py configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-200i_trees.py
Hardware  two CPU cores, about 3.5 minutes for the whole demo
Expected  AP50 0.404 +- 0.015 on validation: three unpaired seeds, in docs/evidence/trees.json
"""

_base_ = [
    "../../_base_/models/gfl_mobilenet-v2_fpn.py",
    "../../_base_/datasets/trees_detection.py",
    "../../_base_/schedules/adamw_200i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.GFLHead",
        num_classes=1,
        avg_factor_floor="paper",  # also what makes several ranks equal one
        loss_cls=dict(type="mmext.QualityFocalLoss"),
        loss_dfl=dict(type="mmext.DistributionFocalLoss"),
    )
)
