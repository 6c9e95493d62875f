"""FCN, ResNet-50 from nothing, augmentation S1, on the 1,464 labelled pictures of PASCAL VOC 2012.

Run       tools/dist_train.sh
          configs/segmentation/pseudo_labels/fcn-s1_r50-d8-scratch_4xb4-40k_voc12-512x512.py 4
Hardware  4 GPUs, 4 images each. Not run by us.
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
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(init_cfg=None),
    decode_head=dict(num_classes=21),
    auxiliary_head=dict(num_classes=21),
)

pipeline = [
    *_base_.train_pipeline[:2],
    *augmentation(1, "segmentation", 512),
    _base_.train_pipeline[-1],
]
labelled = dict(_base_.train_dataloader.dataset.datasets[0], pipeline=pipeline)
train_dataloader = dict(dataset=dict(_delete_=True, **labelled))
