"""scikit-learn's digits: the first 1,000 for training, the last 797 for validation and test.

There is no third split, so testing means validation.
"""

data_command = "mmext data digits"  # what to run when the file below is missing

dataset_type = "mmext.DigitsDataset"
ann_file = "data/digits/digits.csv.gz"

train_pipeline = [
    dict(type="mmext.LoadImageUnlessGiven", color_type="grayscale"),
    dict(type="mmext.PackClsInputs"),
]
test_pipeline = [
    dict(type="mmext.LoadImageUnlessGiven", color_type="grayscale"),
    dict(type="Resize", scale=(8, 8)),
    dict(type="mmext.PackClsInputs"),
]

# No workers: the pictures are in memory, and handing one over takes a worker ten times as long as
# making it.
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type=dataset_type, ann_file=ann_file, indices=1000, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=0,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        ann_file=ann_file,
        indices=-797,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [dict(type="mmext.TopKAccuracy", topk=1), dict(type="mmext.CalibrationMetric")]
test_evaluator = val_evaluator
