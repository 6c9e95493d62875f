"""ATSS with quality labels, ResNet-50, 1x: a row of the paper's ablation.

Run       tools/dist_train.sh configs/detection/gfl/qfl-atss_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  AP 39.9 on COCO minival, 39.2 with focal loss and centerness (the paper's ablation);
          with distributions as well it is GFL, 40.2: gfl_r50_fpn_8xb2-1x_coco.py
"""

_base_ = [
    "../../_base_/models/atss_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.QualityATSSHead",
        loss_cls=dict(_delete_=True, type="mmext.QualityFocalLoss"),
    ),
)
