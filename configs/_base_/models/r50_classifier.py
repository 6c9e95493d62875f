"""ResNet-50 (mmdet's) with a linear head for ImageNet's 1,000 classes, from random weights."""

model = dict(
    type="mmext.ImageClassifier",
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        type="mmdet.ResNet",
        depth=50,
        out_indices=(3,),
        norm_eval=False,
        style="pytorch",
        init_cfg=dict(type="Kaiming", layer="Conv2d"),
    ),
    head=dict(
        type="mmext.LinearClsHead",
        in_channels=2048,
        num_classes=1000,
        loss=dict(type="mmext.CrossEntropyLoss"),
    ),
)
