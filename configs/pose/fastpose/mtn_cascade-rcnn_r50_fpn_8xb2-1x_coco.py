"""Boxes, 17 keypoints and their visibility of COCO's persons: Cascade R-CNN, ResNet-50.

Run       tools/dist_train.sh
          configs/pose/fastpose/mtn_cascade-rcnn_r50_fpn_8xb2-1x_coco.py 8
Hardware  8 GPUs
Expected  not measured
"""

_base_ = [
    "../../_base_/models/cascade_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_keypoints.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]


def _head(centre, size):
    """A stage's head as in the base, of one class, whose boxes deviate by so much."""
    return dict(
        type="Shared2FCBBoxHead",
        in_channels=256,
        fc_out_channels=1024,
        roi_feat_size=7,
        num_classes=1,
        bbox_coder=dict(
            type="DeltaXYWHBBoxCoder",
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[centre, centre, size, size],
        ),
        reg_class_agnostic=True,
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0),
    )


model = dict(
    roi_head=dict(
        type="mmext.MTNCascadeRoIHead",
        bbox_head=[_head(0.1, 0.2), _head(0.05, 0.1), _head(0.033, 0.067)],
        keypoint_head=dict(
            type="mmext.KeypointRCNNHead", num_keypoints=17, num_convs=8, conv_channels=512
        ),
        visibility_head=dict(type="mmext.VisibilityHead"),
    )
)

optim_wrapper = dict(optimizer=dict(lr=0.02))
