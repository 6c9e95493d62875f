"""FBNetV3-A for ImageNet; another architecture changes ``arch`` in both halves."""

model = dict(
    type="mmext.ImageClassifier",
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(type="mmext.FBNetV3", arch="a", out_indices=(4,)),
    head=dict(
        type="mmext.FBNetV3Head",
        arch="a",
        num_classes=1000,
        dropout=0.2,
        loss=dict(type="mmext.CrossEntropyLoss", label_smoothing=0.1),
    ),
)
