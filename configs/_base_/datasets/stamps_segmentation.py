"""Photographic cut-outs on photographs, background and six classes, by mmext/prepare/stamps.py.

1500 training images and 300 validation images of 320 x 320 that share no cut-out and no background.
There is no third split, so testing means validation.
"""

data_command = "mmext data stamps"  # what to run when the files below are missing

dataset_type = "BaseSegDataset"
data_root = "data/stamps/"
metainfo = dict(
    classes=("background", "mammal", "bird", "food", "flower", "tool", "vehicle"),
    palette=[
        [0, 0, 0],
        [166, 86, 40],
        [55, 126, 184],
        [77, 175, 74],
        [231, 41, 138],
        [255, 127, 0],
        [152, 78, 163],
    ],
)
backend_args = None

# Images are composed at many scales, so nothing here changes it; a crop makes training cheaper.
train_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="LoadAnnotations", backend_args=backend_args),
    dict(type="RandomCrop", crop_size=(256, 256)),
    dict(type="RandomFlip", prob=0.5),
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
test_dataloader = val_dataloader

val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
