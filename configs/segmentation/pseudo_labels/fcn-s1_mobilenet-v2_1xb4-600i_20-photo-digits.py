"""FCN on 20 labelled pictures of digits on photographs, S1, from ImageNet.

Run       mmext data photo_digits && mmext data mobilenet_v2 && python tools/train.py
          configs/segmentation/pseudo_labels/fcn-s1_mobilenet-v2_1xb4-600i_20-photo-digits.py
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

model = dict(decode_head=dict(num_classes=11))

pipeline = [
    *_base_.train_pipeline[:2],
    *augmentation(1, "segmentation", 160, pixel_scale=0.3, flip=False),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(indices=20, pipeline=pipeline))
