"""Faster R-CNN with residual labels in its box head, ResNet-50, COCO: one line in the config.

Run       tools/dist_train.sh
          configs/detection/residual_labels/residual-labels_faster-rcnn_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not trained by us.
Expected  not known
"""

_base_ = [
    "../../_base_/models/faster_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

model = dict(
    roi_head=dict(
        bbox_head=dict(
            # Background is a class of a softmax box head.
            loss_cls=dict(_delete_=True, type="mmext.ResidualLabelLoss", num_classes=81)
        )
    )
)
optim_wrapper = dict(
    optimizer=dict(lr=0.02),
    paramwise_cfg=dict(custom_keys={"residual_matrix": dict(decay_mult=0.0)}),
)
