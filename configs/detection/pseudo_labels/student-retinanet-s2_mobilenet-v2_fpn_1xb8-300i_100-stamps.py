"""RetinaNet's student: 100 labelled pictures of cut-outs, and what their teacher saw on 1,500.

Run       first its teacher, retinanet-s2_mobilenet-v2_fpn_1xb4-300i_100-stamps.py, and
          mmext pseudo-label with --images data/stamps/train --out
          data/pseudo_labels/retinanet-s2_mobilenet-v2_fpn_1xb4-300i_100-stamps; then
          python tools/train.py
          configs/detection/pseudo_labels/student-retinanet-s2_mobilenet-v2_fpn_1xb8-300i_100-stamps.py
Hardware  two CPU cores
Expected  not measured
"""

_base_ = [
    "../../_base_/models/retinanet_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

from mmext.self_training.pseudo_labels.policy import augmentation

model = dict(
    _delete_=True,
    type="mmext.SelfTrainingWrapper",
    model=dict(_base_.model, bbox_head=dict(_base_.model.bbox_head, num_classes=6)),
    alpha=1.0,
)

pipeline = [
    *_base_.train_pipeline[:2],
    *augmentation(2, "detection", 320, pixel_scale=0.5),
    _base_.train_pipeline[-1],
]
labelled = dict(_base_.train_dataloader.dataset, indices=100, pipeline=pipeline)
unlabelled = dict(
    _base_.train_dataloader.dataset,
    data_root="data/",
    ann_file="pseudo_labels/retinanet-s2_mobilenet-v2_fpn_1xb4-300i_100-stamps/pseudo.json",
    data_prefix=dict(img="stamps/train/"),
    filter_cfg=dict(filter_empty_gt=False),
    pipeline=[*pipeline, dict(type="mmext.MarkSource", source="pseudo")],
)
train_dataloader = dict(
    batch_size=8,
    sampler=dict(_delete_=True, type="mmext.RatioBatchSampler", batch_size=8, ratio=(1, 1)),
    dataset=dict(_delete_=True, type="mmengine.ConcatDataset", datasets=[labelled, unlabelled]),
)
