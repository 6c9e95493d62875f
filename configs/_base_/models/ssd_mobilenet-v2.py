"""A small SSD for CPUs and images of 320 x 320: MobileNetV2 with ImageNet weights, four levels."""

weights_command = "mmext data mobilenet_v2"  # what to run when the checkpoint below is missing

model = dict(
    type="SingleStageDetector",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="MobileNetV2",
        out_indices=(4, 7),  # strides 16 and 32
        # Not frozen: this backbone freezes only when training starts, after the distributed wrapper
        # has counted its parameters.
        frozen_stages=-1,
        norm_eval=True,  # four images a batch are too few for statistics
        init_cfg=dict(type="Pretrained", checkpoint="data/weights/mobilenet_v2.pth"),
    ),
    neck=dict(
        type="SSDNeck",
        in_channels=(96, 1280),
        out_channels=(96, 1280, 256, 128),
        level_strides=(2, 2),
        level_paddings=(1, 1),
        l2_norm_scale=None,
        use_depthwise=True,
        norm_cfg=dict(type="GN", num_groups=32),
        act_cfg=dict(type="ReLU6"),
        init_cfg=dict(type="TruncNormal", layer="Conv2d", std=0.03),
    ),
    bbox_head=dict(
        type="SSDHead",
        in_channels=(96, 1280, 256, 128),
        num_classes=80,
        use_depthwise=True,
        norm_cfg=dict(type="GN", num_groups=32),
        act_cfg=dict(type="ReLU6"),
        init_cfg=dict(type="Normal", layer="Conv2d", std=0.001),
        anchor_generator=dict(
            type="SSDAnchorGenerator",
            scale_major=False,
            strides=[16, 32, 64, 107],
            ratios=[[2, 3], [2, 3], [2, 3], [2, 3]],
            min_sizes=[48, 100, 150, 202],
            max_sizes=[100, 150, 202, 253],
        ),
        bbox_coder=dict(
            type="DeltaXYWHBBoxCoder",
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[0.1, 0.1, 0.2, 0.2],
        ),
    ),
    train_cfg=dict(
        assigner=dict(
            type="MaxIoUAssigner",
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0.0,
            ignore_iof_thr=-1,
            gt_max_assign_all=False,
        ),
        sampler=dict(type="PseudoSampler"),
        smoothl1_beta=1.0,
        allowed_border=-1,
        pos_weight=-1,
        neg_pos_ratio=3,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.02,
        nms=dict(type="nms", iou_threshold=0.45),
        max_per_img=100,
    ),
)
