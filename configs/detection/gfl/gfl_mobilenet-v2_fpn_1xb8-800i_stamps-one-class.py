"""GFL where boxes are the only question: one class, features that stay, a long cosine to its end.

Run       python tools/data/stamps.py --one-class && python tools/data/mobilenet_v2.py &&
          python tools/train.py
          configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb8-800i_stamps-one-class.py
Hardware  two CPU cores, minutes
Expected  an arm of ``make evidence STUDY=gfl``; the folder's README has what came out
"""

_base_ = [
    "../../_base_/models/gfl_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_one_class_detection.py",
    "../../_base_/schedules/adamw_800i.py",
    "../../_base_/runtime_iters.py",
]

find_unused_parameters = True  # the backbone freezes only after the distributed wrapper has counted

model = dict(
    # Frozen: in a few hundred iterations its features would only get worse, and runs differ less.
    backbone=dict(out_indices=(2, 4, 6), frozen_stages=7),
    neck=dict(in_channels=[32, 96, 320]),
    bbox_head=dict(
        type="mmext.GFLHead",
        num_classes=1,
        avg_factor_floor="paper",  # also what makes several ranks equal one
        loss_cls=dict(type="mmext.QualityFocalLoss"),
        loss_dfl=dict(type="mmext.DistributionFocalLoss"),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
