"""GFL's student: 8 labelled tiles of tree crowns, and what their teacher saw on all 64.

Run       first its teacher, gfl-s1_mobilenet-v2_fpn_1xb4-400i_8-trees.py, and mmext pseudo-label
          with --images data/trees/train --score-thr auto --out
          data/pseudo_labels/gfl-s1_mobilenet-v2_fpn_1xb4-400i_8-trees; then python tools/train.py
          configs/detection/pseudo_labels/student-gfl-s1_mobilenet-v2_fpn_1xb8-400i_8-trees.py
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
    _delete_=True,
    type="mmext.SelfTrainingWrapper",
    model=dict(
        _base_.model,
        bbox_head=dict(
            _base_.model.bbox_head,
            type="mmext.GFLHead",
            num_classes=1,
            avg_factor_floor="paper",
            loss_cls=dict(_base_.model.bbox_head.loss_cls, type="mmext.QualityFocalLoss"),
            loss_dfl=dict(_base_.model.bbox_head.loss_dfl, type="mmext.DistributionFocalLoss"),
        ),
    ),
    alpha=1.0,
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))))

pipeline = [
    *_base_.train_pipeline[:2],
    *augmentation(1, "detection", 400),
    _base_.train_pipeline[-1],
]
labelled = dict(
    _base_.train_dataloader.dataset,
    indices=[7, 14, 21, 28, 35, 42, 49, 56],
    pipeline=pipeline,
)
unlabelled = dict(
    _base_.train_dataloader.dataset,
    data_root="data/",
    ann_file="pseudo_labels/gfl-s1_mobilenet-v2_fpn_1xb4-400i_8-trees/pseudo.json",
    data_prefix=dict(img="trees/train/"),
    filter_cfg=dict(filter_empty_gt=False),
    pipeline=[*pipeline, dict(type="mmext.MarkSource", source="pseudo")],
)
train_dataloader = dict(
    batch_size=8,
    sampler=dict(_delete_=True, type="mmext.RatioBatchSampler", batch_size=8, ratio=(1, 1)),
    dataset=dict(_delete_=True, type="mmengine.ConcatDataset", datasets=[labelled, unlabelled]),
)
