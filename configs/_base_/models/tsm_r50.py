"""TSM, ResNet-50 with ImageNet weights, 8 frames: a part of the channels is shifted in time.

With ``type="mmext.ResNetSTM"`` as the backbone it is STM; for other lengths change both
``num_segments``.
"""

model = dict(
    type="Recognizer2D",
    backbone=dict(
        type="ResNetTSM",
        depth=50,
        num_segments=8,
        pretrained="torchvision://resnet50",
        norm_eval=False,
    ),
    cls_head=dict(
        type="TSMHead",
        num_classes=400,
        in_channels=2048,
        is_shift=True,
        num_segments=8,
        consensus=dict(type="AvgConsensus", dim=1),
        dropout_ratio=0.5,
        init_std=0.001,
        average_clips="prob",
    ),
    data_preprocessor=dict(
        type="ActionDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape="NCHW",
    ),
)
