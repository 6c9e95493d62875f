"""Mask R-CNN, ResNet-50 from ImageNet, augmentation S1.

Run       tools/dist_train.sh
          configs/detection/pseudo_labels/mask-rcnn-s1_r50_fpn_8xb8-135k_coco.py 8
Hardware  written for 8 GPUs x 8 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  not measured; the paper trains no Mask R-CNN of this kind
"""

_base_ = [
    "../../_base_/models/mask_rcnn_r50_fpn_syncbn.py",
    "../../_base_/datasets/coco_instance.py",
    "../../_base_/schedules/sgd_135k.py",
    "../../_base_/runtime_iters_long.py",
]

from mmext.self_training.pseudo_labels.policy import augmentation

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    dataset=dict(
        pipeline=[
            *_base_.train_pipeline[:2],
            *augmentation(1, "detection", 640),
            _base_.train_pipeline[-1],
        ],
    ),
)
