"""A classifier on one of timm's nets, 1,000 classes: pip install "mmext[timm]".

The last map's channels are the head's ``in_channels``. In a detector or segmentor the backbone is
the same line, with the maps that its neck takes: ``out_indices=(1, 2, 3, 4)``.
"""

model = dict(
    type="mmext.ImageClassifier",
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(type="mmext.TimmBackbone", model_name="resnet50", out_indices=(4,)),
    head=dict(
        type="mmext.LinearClsHead",
        in_channels=2048,
        num_classes=1000,
        loss=dict(type="mmext.CrossEntropyLoss"),
    ),
)
