"""Testing segmentation as in mmseg's configs: mean IoU, and six scales and a mirror with ``--tta``.

For data sets that learn every label; where label 0 is ignored, take
test_segmentation_zero_label.py.
"""

tta_pipeline = [
    dict(type="LoadImageFromFile", backend_args=None),
    dict(
        type="TestTimeAug",
        transforms=[
            [
                dict(type="Resize", scale_factor=factor, keep_ratio=True)
                for factor in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [dict(type="RandomFlip", prob=prob, direction="horizontal") for prob in (0.0, 1.0)],
            [dict(type="LoadAnnotations", backend_args=None)],
            [dict(type="PackSegInputs")],
        ],
    ),
]

val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
