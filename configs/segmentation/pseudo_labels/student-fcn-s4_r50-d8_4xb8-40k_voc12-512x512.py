"""FCN's student, S4: VOC's 1,464 labelled pictures, and SBD's 9,118 without their labels.

Run       first its teacher, fcn-s4_r50-d8_4xb4-40k_voc12-512x512.py, and
          mmext pseudo-label with --images data/VOCdevkit/VOC2012/JPEGImages
          --out data/pseudo_labels/fcn-s4_r50-d8_4xb4-40k_voc12-512x512; then
          tools/dist_train.sh
          configs/segmentation/pseudo_labels/student-fcn-s4_r50-d8_4xb8-40k_voc12-512x512.py 4
Hardware  4 GPUs, 8 images each, half of them labelled. Not run by us.
Expected  not measured
"""

_base_ = [
    "../../_base_/models/fcn_r50-d8.py",
    "../../_base_/datasets/pascal_voc12_aug.py",
    "../../_base_/pipelines/test_segmentation.py",
    "../../_base_/schedules/sgd_40k.py",
    "../../_base_/runtime_segmentation.py",
]

from mmext.self_training.pseudo_labels.policy import augmentation

model = dict(
    _delete_=True,
    type="mmext.SelfTrainingWrapper",
    model=dict(
        _base_.model,
        data_preprocessor=dict(_base_.model.data_preprocessor, size=(512, 512)),
        decode_head=dict(_base_.model.decode_head, num_classes=21),
        auxiliary_head=dict(_base_.model.auxiliary_head, num_classes=21),
    ),
    alpha=1.0,
)

pipeline = [
    *_base_.train_pipeline[:2],
    *augmentation(4, "segmentation", 512),
    _base_.train_pipeline[-1],
]
labelled = dict(_base_.train_dataloader.dataset.datasets[0], pipeline=pipeline)
# Of the teacher's maps those that aug.txt names: it has labelled the validation's pictures as well.
unlabelled = dict(
    _base_.train_dataloader.dataset.datasets[1],
    data_root=None,
    ann_file="data/VOCdevkit/VOC2012/ImageSets/Segmentation/aug.txt",
    data_prefix=dict(
        img_path="data/VOCdevkit/VOC2012/JPEGImages",
        seg_map_path="data/pseudo_labels/fcn-s4_r50-d8_4xb4-40k_voc12-512x512/maps",
    ),
    seg_map_suffix=".jpg.png",
    pipeline=[*pipeline, dict(type="mmext.MarkSource", source="pseudo")],
)
train_dataloader = dict(
    batch_size=8,
    sampler=dict(_delete_=True, type="mmext.RatioBatchSampler", batch_size=8, ratio=(1, 1)),
    dataset=dict(_delete_=True, type="mmengine.ConcatDataset", datasets=[labelled, unlabelled]),
)
