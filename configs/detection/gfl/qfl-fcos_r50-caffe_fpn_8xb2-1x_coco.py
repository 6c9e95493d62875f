"""FCOS with quality labels, ResNet-50, 1x: a row of the paper's ablation.

Run       tools/dist_train.sh configs/detection/gfl/qfl-fcos_r50-caffe_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  AP 39.0 on COCO minival, 38.5 with focal loss and centerness (the paper's ablation)
"""

_base_ = [
    "../../_base_/models/fcos_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.QualityFCOSHead",
        loss_cls=dict(_delete_=True, type="mmext.QualityFocalLoss"),
    ),
)

# As FCOS trains in mmdet.
optim_wrapper = dict(paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0))
