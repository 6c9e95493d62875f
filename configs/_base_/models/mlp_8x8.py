"""A hidden layer of 64 units for grey pictures of 8 x 8."""

model = dict(
    type="mmext.ImageClassifier",
    data_preprocessor=dict(mean=[0.0], std=[255.0]),
    backbone=dict(type="mmext.MLPBackbone", in_shape=(1, 8, 8), widths=(64,)),
    head=dict(
        type="mmext.LinearClsHead",
        in_channels=64,
        num_classes=10,
        loss=dict(type="mmext.CrossEntropyLoss"),
    ),
)
