"""A running mouse with 17 points that people marked: 60 frames for training, 30 to judge.

Made by ``mmext data mouse``. A point that people left out is not labelled; none is marked as hidden.
Nobody measured how far people disagree on these points, so each has a sigma of 0.05. A mirrored
frame shows a mouse that runs the other way, which this rig never does: there are no flips.
"""

data_command = "mmext data mouse"  # what to run when the files below are missing

dataset_type = "mmext.PoseCocoDataset"
data_root = "data/mouse/"
metainfo = dict(classes=("mouse",), palette=[(228, 26, 28)], sigmas=[0.05] * 17)
backend_args = None

train_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
    dict(type="mmext.PoseResize", scale=(256, 256), keep_ratio=True),
    dict(
        type="mmext.PoseAffine",
        max_rotate_degree=10.0,
        max_translate_ratio=0.1,
        scaling_ratio_range=(0.8, 1.2),
        max_shear_degree=0.0,
        border_val=(114, 114, 114),
    ),
    dict(type="mmext.PackPoseDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="mmext.PoseResize", scale=(256, 256), keep_ratio=True),
    dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
    dict(type="mmext.PackPoseDetInputs"),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    # With iterations instead of epochs, a finite sampler would pause at each pass over the data.
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/train_60.json",
        data_prefix=dict(img="images/"),
        pipeline=train_pipeline,
        backend_args=backend_args,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/test_30.json",
        data_prefix=dict(img="images/"),
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type="CocoMetric",
        ann_file=data_root + "annotations/test_30.json",
        metric="bbox",
        backend_args=backend_args,
    ),
    dict(type="mmext.CocoKeypointMetric", ann_file=data_root + "annotations/test_30.json"),
]
test_evaluator = val_evaluator
