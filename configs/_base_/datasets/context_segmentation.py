"""An object's class depends on a bird or flower far away; mmext/prepare/context.py makes scenes.

A mechanism test of 320 x 320: 1200 training images, 200 for choosing (val) and 400 for one look at
the end (test), which share no cut-out and no background. With ``data_root = "data/context/near/"``
the key is near. The maps of ``context/test`` hold only the pixels whose class the key decides;
tested with them as ``seg_map_path``, ``aAcc`` is the accuracy there.
"""

data_command = "mmext data context"  # what to run when the files below are missing

dataset_type = "BaseSegDataset"
data_root = "data/context/far/"
metainfo = dict(
    classes=("background", "bird", "flower", "with a bird", "with a flower"),
    palette=[[0, 0, 0], [55, 126, 184], [231, 41, 138], [255, 255, 0], [0, 200, 0]],
)
backend_args = None

# No crop: it would cut the key away.
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
