"""GFL version 2, ResNeXt-101-32x4d with deformable convolution, 2x with multi-scale training.

Run       tools/dist_train.sh configs/detection/gfl/gfl-v2_x101-32x4d-dcn_fpn_8xb2-ms-2x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  AP 48.8 on COCO minival, 49.0 on test-dev (the authors' README).
          Short sides of 480 to 960 in training; version 1 was trained with 480 to 800.
"""

_base_ = [
    "../../_base_/models/gfl_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_2x.py",
    "../../_base_/runtime.py",
]

model = dict(
    # The authors' README says version 2 of DCN in stages c3 to c5; their config has plain DCN in c4
    # and c5, and so has this.
    backbone=dict(
        type="ResNeXt",
        depth=101,
        groups=32,
        base_width=4,
        dcn=dict(type="DCN", deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, False, True, True),
        init_cfg=dict(checkpoint="open-mmlab://resnext101_32x4d"),
    ),
    bbox_head=dict(
        type="mmext.GFLv2Head",
        loss_cls=dict(type="mmext.QualityFocalLoss"),
        loss_dfl=dict(type="mmext.DistributionFocalLoss"),
    ),
)

train_dataloader = dict(dataset=dict(pipeline={{_base_.ms960_train_pipeline}}))
