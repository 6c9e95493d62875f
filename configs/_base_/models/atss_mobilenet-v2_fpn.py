"""A small ATSS for CPUs: MobileNetV2, ImageNet weights, FPN of 96 channels, one anchor a place."""

weights_command = "mmext data mobilenet_v2"  # what to run when the checkpoint below is missing

model = dict(
    type="ATSS",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="MobileNetV2",
        # Strides 8, 16 and 32. The last one is the final convolution's: an output before it would
        # leave that layer without a gradient, which stops distributed training.
        out_indices=(2, 4, 7),
        # Not frozen: this backbone freezes only when training starts, after the distributed wrapper
        # has counted its parameters.
        frozen_stages=-1,
        norm_eval=True,  # four images a batch are too few for statistics
        init_cfg=dict(type="Pretrained", checkpoint="data/weights/mobilenet_v2.pth"),
    ),
    # Normalised: the three inputs differ in scale, and without it a short schedule learns the boxes
    # late.
    neck=dict(
        type="FPN",
        in_channels=[32, 96, 1280],
        out_channels=96,
        num_outs=3,
        norm_cfg=dict(type="GN", num_groups=32, requires_grad=True),
    ),
    bbox_head=dict(
        type="ATSSHead",
        num_classes=80,
        in_channels=96,
        stacked_convs=2,
        feat_channels=96,
        anchor_generator=dict(
            type="AnchorGenerator",
            ratios=[1.0],
            octave_base_scale=4,
            scales_per_octave=1,
            strides=[8, 16, 32],
        ),
        bbox_coder=dict(
            type="DeltaXYWHBBoxCoder",
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[0.1, 0.1, 0.2, 0.2],
        ),
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
        loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    ),
    train_cfg=dict(
        assigner=dict(type="ATSSAssigner", topk=9), allowed_border=-1, pos_weight=-1, debug=False
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type="nms", iou_threshold=0.6),
        max_per_img=100,
    ),
)
