"""Handwritten digits on photographs, background and ten classes, by mmext/prepare/photo_digits.py.

320 training pictures of 160 x 160, of which ``indices=20`` leaves the labelled ones; 100 for
validation and 200 for one look at the end. No photograph and no digit is in two of them.
"""

data_command = "mmext data photo_digits"  # what to run when the files below are missing

dataset_type = "BaseSegDataset"
data_root = "data/photo_digits/"
metainfo = dict(
    classes=("background", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    palette=[
        [0, 0, 0],
        [166, 86, 40],
        [55, 126, 184],
        [77, 175, 74],
        [231, 41, 138],
        [255, 127, 0],
        [152, 78, 163],
        [228, 26, 28],
        [255, 255, 51],
        [0, 200, 200],
        [160, 160, 160],
    ],
)
backend_args = None

# No flip: a mirrored digit is none, or another.
train_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="LoadAnnotations", backend_args=backend_args),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="LoadAnnotations", backend_args=backend_args),
    dict(type="PackSegInputs"),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img_path="train", seg_map_path="semantic/train"),
        pipeline=train_pipeline,
        backend_args=backend_args,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img_path="val", seg_map_path="semantic/val"),
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img_path="test", seg_map_path="semantic/test"),
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)

val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
