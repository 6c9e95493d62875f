"""Photographic cut-outs on photographs, background and six classes, by mmext/prepare/stamps.py.

The images of the one-class edition, whose maps tell all six classes apart: 2000 for training, 500
for choosing (val) and 500 for the one look at the end (test), of 160 x 160. The three share no
cut-out and no background.
"""

data_command = "mmext data stamps --one-class"  # what to run when the files below are missing

dataset_type = "BaseSegDataset"
data_root = "data/stamps_one_class/"
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

# Images are composed at their final size, with objects of many sizes, so nothing here changes it.
train_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="LoadAnnotations", backend_args=backend_args),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="LoadAnnotations", backend_args=backend_args),
    dict(type="PackSegInputs"),
]

train_dataloader = dict(
    batch_size=8,
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
        data_prefix=dict(img_path="dev", seg_map_path="semantic/dev"),
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
