"""Two linear layers on grey pictures of 28 x 28, ten classes: Fashion-MNIST in seconds an epoch."""

model = dict(
    type="mmext.ImageClassifier",
    data_preprocessor=dict(mean=[72.9], std=[90.0]),  # of Fashion-MNIST's training pictures
    backbone=dict(type="mmext.MLPBackbone", in_shape=(1, 28, 28), widths=(128, 64)),
    head=dict(
        type="mmext.LinearClsHead",
        in_channels=64,
        num_classes=10,
        loss=dict(type="mmext.CrossEntropyLoss"),
    ),
)
