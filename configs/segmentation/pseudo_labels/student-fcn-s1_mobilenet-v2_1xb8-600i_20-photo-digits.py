"""FCN's student, S1: 20 labelled pictures of digits on photographs, and 300 without labels.

Run       first its teacher, fcn-s1_mobilenet-v2_1xb4-600i_20-photo-digits.py, and
          mmext pseudo-label with --images data/photo_digits/train --out
          data/pseudo_labels/fcn-s1_mobilenet-v2_1xb4-600i_20-photo-digits; then
          python tools/train.py
          configs/segmentation/pseudo_labels/student-fcn-s1_mobilenet-v2_1xb8-600i_20-photo-digits.py
Hardware  two CPU cores
Expected  not measured
"""

_base_ = [
    "../../_base_/models/fcn_mobilenet-v2.py",
    "../../_base_/datasets/photo-digits_segmentation.py",
    "../../_base_/schedules/adamw_600i.py",
    "../../_base_/runtime_segmentation_small.py",
]

from mmext.self_training.pseudo_labels.policy import augmentation

model = dict(
    _delete_=True,
    type="mmext.SelfTrainingWrapper",
    model=dict(_base_.model, decode_head=dict(_base_.model.decode_head, num_classes=11)),
    alpha=1.0,
)

pipeline = [
    *_base_.train_pipeline[:2],
    *augmentation(1, "segmentation", 160, pixel_scale=0.3, flip=False),
    _base_.train_pipeline[-1],
]
labelled = dict(_base_.train_dataloader.dataset, indices=20, pipeline=pipeline)
unlabelled = dict(
    _base_.train_dataloader.dataset,
    indices=list(range(20, 320)),
    data_root="data/",
    data_prefix=dict(
        img_path="photo_digits/train",
        seg_map_path="pseudo_labels/fcn-s1_mobilenet-v2_1xb4-600i_20-photo-digits/maps",
    ),
    seg_map_suffix=".jpg.png",
    pipeline=[*pipeline, dict(type="mmext.MarkSource", source="pseudo")],
)
train_dataloader = dict(
    batch_size=8,
    sampler=dict(_delete_=True, type="mmext.RatioBatchSampler", batch_size=8, ratio=(1, 1)),
    dataset=dict(_delete_=True, type="mmengine.ConcatDataset", datasets=[labelled, unlabelled]),
)
