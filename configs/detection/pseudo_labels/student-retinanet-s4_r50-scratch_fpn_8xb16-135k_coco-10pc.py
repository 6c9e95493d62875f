"""RetinaNet's student, S4: 10 % of COCO's labels, the other pictures of COCO.

Run       first its teacher, the config without the word student, and mmext pseudo-label, as the
          README says; then tools/dist_train.sh
  configs/detection/pseudo_labels/student-retinanet-s4_r50-scratch_fpn_8xb16-135k_coco-10pc.py 8
Hardware  written for 8 GPUs x 16 images, half of them labelled. Not run by us.
Expected  not measured
"""

_base_ = [
    "../../_base_/models/retinanet_r50_fpn_syncbn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_135k.py",
    "../../_base_/runtime_iters_long.py",
]

from mmext.self_training.pseudo_labels.policy import augmentation

model = dict(
    _delete_=True,
    type="mmext.SelfTrainingWrapper",
    model=dict(_base_.model, backbone=dict(_base_.model.backbone, init_cfg=None)),
    alpha=1.0,
)

pipeline = [
    *_base_.train_pipeline[:2],
    *augmentation(4, "detection", 640),
    _base_.train_pipeline[-1],
]
labelled = dict(
    _base_.train_dataloader.dataset,
    ann_file="semi_anns/instances_train2017.1@10.json",
    pipeline=pipeline,
)
unlabelled = dict(
    type="CocoDataset",
    data_root="data/",
    ann_file="pseudo_labels/retinanet-s4_r50-scratch_fpn_8xb8-135k_coco-10pc/pseudo.json",
    data_prefix=dict(img="coco/unlabeled/1@10/"),
    filter_cfg=dict(filter_empty_gt=False),
    pipeline=[*pipeline, dict(type="mmext.MarkSource", source="pseudo")],
)
train_dataloader = dict(
    _delete_=True,
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="mmext.RatioBatchSampler", batch_size=16, ratio=(1, 1)),
    dataset=dict(type="mmengine.ConcatDataset", datasets=[labelled, unlabelled]),
)
