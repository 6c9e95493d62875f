"""Mask R-CNN with ResNet-50 and FPN whose norms learn on all ranks together, for long training.

It starts from ImageNet; ``backbone=dict(init_cfg=None)`` starts from nothing.
"""

_base_ = ["mask_rcnn_r50_fpn.py"]

norm_cfg = dict(type="SyncBN", requires_grad=True)

model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False),
    neck=dict(norm_cfg=norm_cfg),
)
