"""Boxes and 17 points of a running mouse by a cascade: minutes on a CPU.

Run       mmext data mouse && mmext data mobilenet_v2 && python tools/train.py
          configs/pose/fastpose/mtn_cascade-rcnn_mobilenet-v2_fpn_1xb4-300i_mouse.py
Hardware  any CPU, about four minutes on one core
Expected  box AP 0.97 and keypoint AP 0.90 in 30 frames, with sigmas of 0.05 (one run, seed 0)
"""

_base_ = [
    "../../_base_/models/faster_rcnn_mobilenet-v2_fpn.py",
    "../../_base_/datasets/mouse_pose.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]


def _head(centre, size):
    """A stage's head, whose boxes deviate by so much."""
    return dict(
        type="Shared2FCBBoxHead",
        in_channels=96,
        fc_out_channels=256,
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


def _stage(iou):
    """Which boxes a stage learns from."""
    return dict(
        assigner=dict(
            type="MaxIoUAssigner",
            pos_iou_thr=iou,
            neg_iou_thr=iou,
            min_pos_iou=iou,
            match_low_quality=False,
        ),
        sampler=dict(type="RandomSampler", num=64, pos_fraction=0.25, add_gt_as_proposals=True),
        pos_weight=-1,
        debug=False,
    )


model = dict(
    type="CascadeRCNN",
    roi_head=dict(
        type="mmext.MTNCascadeRoIHead",
        num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=[_head(0.1, 0.2), _head(0.05, 0.1), _head(0.033, 0.067)],
        keypoint_head=dict(
            type="mmext.KeypointRCNNHead", num_keypoints=17, num_convs=3, conv_channels=128
        ),
        # The mouse is large: points want the finest level, boxes may take a coarser one.
        keypoint_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=2),
            out_channels=96,
            featmap_strides=[8, 16, 32],
            finest_scale=224,
        ),
    ),
    train_cfg=dict(rcnn=[_stage(0.5), _stage(0.6), _stage(0.7)]),
)
