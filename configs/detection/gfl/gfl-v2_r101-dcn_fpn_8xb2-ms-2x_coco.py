"""GFL version 2, ResNet-101 with deformable convolution, 2x with multi-scale training.

Run       tools/dist_train.sh configs/detection/gfl/gfl-v2_r101-dcn_fpn_8xb2-ms-2x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  AP 48.0 on COCO minival, 48.2 on test-dev (the authors' README).
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
        # The authors' README calls it version 2 of DCN; their config has plain DCN, and so has
        # this.
        dcn=dict(type="DCN", deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True),
        init_cfg=dict(checkpoint="torchvision://resnet101"),
    ),
    bbox_head=dict(
        type="mmext.GFLv2Head",
        loss_cls=dict(type="mmext.QualityFocalLoss"),
        loss_dfl=dict(type="mmext.DistributionFocalLoss"),
    ),
)

train_dataloader = dict(dataset=dict(pipeline={{_base_.ms960_train_pipeline}}))
