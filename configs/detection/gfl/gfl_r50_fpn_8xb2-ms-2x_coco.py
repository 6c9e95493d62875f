"""GFL, ResNet-50, 2x with multi-scale training.

Run       tools/dist_train.sh configs/detection/gfl/gfl_r50_fpn_8xb2-ms-2x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  AP 42.8 on COCO minival (the authors' README);
          mmdet's own head reaches 42.9 on val2017 (its metafile).
"""

_base_ = [
    "../../_base_/models/gfl_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_2x.py",
    "../../_base_/runtime.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.GFLHead",
        loss_cls=dict(type="mmext.QualityFocalLoss"),
        loss_dfl=dict(type="mmext.DistributionFocalLoss"),
    ),
)

train_dataloader = dict(dataset=dict(pipeline={{_base_.ms_train_pipeline}}))
