"""The crops of EMANet's authors: the image's own size times a factor, and no change of colours.

They follow the loading of a data set's own pipeline:
``[*_base_.train_pipeline[:2], *_base_.scale_factors]``.
"""

scale_factors = [
    dict(
        type="RandomChoice",
        transforms=[
            [dict(type="Resize", scale_factor=factor, keep_ratio=True)]
            for factor in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
        ],
    ),
    dict(type="RandomCrop", crop_size=(513, 513)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
