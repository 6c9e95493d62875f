"""A student of tree crowns: 8 labelled tiles, and a teacher's boxes on the other 56.

Run       python tools/data/trees.py && python tools/data/mobilenet_v2.py, then the teacher, its
          labels and the student:
          python tools/train.py configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees.py
          --work-dir work_dirs/teacher --cfg-options train_dataloader.dataset.indices=8
          python tools/pseudo_label.py configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees.py
          work_dirs/teacher/iter_400.pth --images data/trees/train --out data/trees/pseudo
          --score-thr auto --cfg-options train_dataloader.dataset.indices=8
          python tools/train.py
          configs/self_training/pseudo_labels/student-gfl_mobilenet-v2_fpn_1xb4-400i_trees.py
Hardware  two CPU cores, about five minutes each training
Expected  no number is claimed: at this size seeds differ by more than the method gains
"""

_base_ = [
    "../../_base_/models/gfl_mobilenet-v2_fpn.py",
    "../../_base_/datasets/trees_detection.py",
    "../../_base_/schedules/adamw_400i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    _delete_=True,
    type="mmext.SelfTrainingWrapper",
    alpha=1.0,
    model=dict(
        type=_base_.model.type,
        data_preprocessor=_base_.model.data_preprocessor,
        backbone=_base_.model.backbone,
        neck=_base_.model.neck,
        bbox_head=dict(
            type="mmext.GFLHead",
            num_classes=1,
            in_channels=96,
            stacked_convs=2,
            feat_channels=96,
            anchor_generator=_base_.model.bbox_head.anchor_generator,
            reg_max=16,
            loss_bbox=_base_.model.bbox_head.loss_bbox,
            avg_factor_floor="paper",  # as the teacher's
            loss_cls=dict(type="mmext.QualityFocalLoss"),
            loss_dfl=dict(type="mmext.DistributionFocalLoss"),
        ),
        train_cfg=_base_.model.train_cfg,
        test_cfg=_base_.model.test_cfg,
    ),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=0.3)}))

labelled = dict(
    type=_base_.dataset_type,
    data_root=_base_.data_root,
    metainfo=_base_.metainfo,
    ann_file="annotations/train.json",
    data_prefix=dict(img="train/"),
    indices=8,
    pipeline=_base_.train_pipeline,
)
pseudo = dict(
    type=_base_.dataset_type,
    data_root=_base_.data_root,
    metainfo=_base_.metainfo,
    ann_file="pseudo/pseudo.json",
    data_prefix=dict(img="train/"),
    indices=-56,
    filter_cfg=dict(filter_empty_gt=False),  # no crown is a label too
    pipeline=[*_base_.train_pipeline, dict(type="mmext.MarkSource", source="pseudo")],
)
train_dataloader = dict(
    sampler=dict(_delete_=True, type="mmext.RatioBatchSampler", ratio=(1, 1), batch_size=4),
    dataset=dict(_delete_=True, type="mmengine.ConcatDataset", datasets=[labelled, pseudo]),
)
