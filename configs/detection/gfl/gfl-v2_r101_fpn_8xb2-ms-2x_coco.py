"""GFL version 2, ResNet-101, 2x with multi-scale training.

Run       tools/dist_train.sh configs/detection/gfl/gfl-v2_r101_fpn_8xb2-ms-2x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  AP 45.8 on COCO minival, 46.0 on test-dev (the authors' README).
          Short sides of 480 to 960 in training; version 1 was trained with 480 to 800.
"""

_base_ = [
    "../../_base_/models/gfl_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_2x.py",
    "../../_base_/runtime.py",
]

model = dict(
    backbone=dict(
        depth=101,
        init_cfg=dict(checkpoint="torchvision://resnet101"),
    ),
    bbox_head=dict(
        type="mmext.GFLv2Head",
        loss_cls=dict(type="mmext.QualityFocalLoss"),
        loss_dfl=dict(type="mmext.DistributionFocalLoss"),
    ),
)

train_dataloader = dict(dataset=dict(pipeline={{_base_.ms960_train_pipeline}}))
