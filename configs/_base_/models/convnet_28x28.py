"""Three convolutions on grey pictures of 28 x 28 or any other size, ten classes."""

model = dict(
    type="mmext.ImageClassifier",
    data_preprocessor=dict(mean=[72.9], std=[90.0]),  # of Fashion-MNIST's training pictures
    backbone=dict(type="mmext.SmallConvNet", in_channels=1, channels=(32, 64, 128)),
    head=dict(
        type="mmext.LinearClsHead",
        in_channels=128,
        num_classes=10,
        loss=dict(type="mmext.CrossEntropyLoss"),
    ),
)
