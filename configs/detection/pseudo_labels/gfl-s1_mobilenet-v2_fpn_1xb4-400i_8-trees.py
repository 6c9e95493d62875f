"""GFL on 8 labelled tiles of tree crowns: a teacher of minutes on a CPU, and what it must beat.

Run       mmext data trees && mmext data mobilenet_v2 && python tools/train.py
          configs/detection/pseudo_labels/gfl-s1_mobilenet-v2_fpn_1xb4-400i_8-trees.py
Hardware  two CPU cores
Expected  not measured
"""

_base_ = [
    "../../_base_/models/gfl_mobilenet-v2_fpn.py",
    "../../_base_/datasets/trees_detection.py",
    "../../_base_/schedules/adamw_400i.py",
    "../../_base_/runtime_iters.py",
]

from mmext.self_training.pseudo_labels.policy import augmentation

model = dict(
    bbox_head=dict(
        type="mmext.GFLHead",
        num_classes=1,
        avg_factor_floor="paper",
        loss_cls=dict(type="mmext.QualityFocalLoss"),
        loss_dfl=dict(type="mmext.DistributionFocalLoss"),
    )
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))))

train_dataloader = dict(
    dataset=dict(
        indices=[7, 14, 21, 28, 35, 42, 49, 56],  # a diagonal of the photograph
        pipeline=[
            *_base_.train_pipeline[:2],
            *augmentation(1, "detection", 400),
            _base_.train_pipeline[-1],
        ],
    )
)
