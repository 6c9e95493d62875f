"""RetinaNet, ResNet-50 from nothing, augmentation S4.

Run       tools/dist_train.sh
          configs/detection/pseudo_labels/retinanet-s4_r50-scratch_fpn_8xb8-135k_coco.py 8
Hardware  written for 8 GPUs x 8 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  not measured; the paper's own number is not one of ResNet-50
"""

_base_ = [
    "../../_base_/models/retinanet_r50_fpn_syncbn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_135k.py",
    "../../_base_/runtime_iters_long.py",
]

from mmext.self_training.pseudo_labels.policy import augmentation

model = dict(backbone=dict(init_cfg=None))

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    dataset=dict(
        pipeline=[
            *_base_.train_pipeline[:2],
            *augmentation(4, "detection", 640),
            _base_.train_pipeline[-1],
        ],
    ),
)
