"""A small FCN for stamps and CPUs: MobileNetV2, ImageNet weights, stride 16, a 3x3 convolution."""

weights_command = "mmext data mobilenet_v2"  # what to run when the checkpoint below is missing

# The backbone freezes its stages only when training starts, after the distributed wrapper has
# counted them.
find_unused_parameters = True

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=32,
    ),
    backbone=dict(
        type="MobileNetV2",
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        # Two maps, of which the head reads the last: mmseg's MobileNetV2 gives a single one as a
        # bare tensor, of which a head would take the first image.
        out_indices=(4, 6),
        frozen_stages=6,  # of seven: in some hundred iterations features would only get worse
        norm_eval=True,
        init_cfg=dict(type="Pretrained", checkpoint="data/weights/mobilenet_v2_mmseg.pth"),
    ),
    decode_head=dict(
        type="FCNHead",
        in_channels=320,
        in_index=1,
        channels=64,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=7,
        norm_cfg=dict(type="GN", num_groups=16, requires_grad=True),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
