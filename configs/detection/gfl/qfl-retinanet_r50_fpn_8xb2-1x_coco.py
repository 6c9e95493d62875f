"""RetinaNet with quality labels, ResNet-50, 1x: a row of the paper's ablation.

Run       tools/dist_train.sh configs/detection/gfl/qfl-retinanet_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  AP 36.4 on COCO minival, 35.6 without quality labels (the paper's ablation)
"""

_base_ = [
    "../../_base_/models/retinanet_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.QualityRetinaHead",
        loss_cls=dict(_delete_=True, type="mmext.QualityFocalLoss"),
        # 35.6 is also what mmdet 1.x reached, with this loss; mmdet 3.x has plain L1 and reaches
        # 36.5.
        loss_bbox=dict(_delete_=True, type="SmoothL1Loss", beta=0.11, loss_weight=1.0),
    ),
)
