"""A running mouse, 17 points by people's hands; made by mmext/prepare/mouse.py.

60 frames to learn from and 30 to be judged by, 396 x 406 pixels, each with one box around the
points that are visible. The points of the view from the side and of that from below, through a
mirror, are one mouse. There is no third split, so testing means validation. Nobody has measured
how far people disagree on these points: OKS takes a sigma of 0.05 for each.
"""

data_command = "mmext data mouse"  # what to run when the files below are missing

dataset_type = "mmext.PoseCocoDataset"
data_root = "data/mouse/"
metainfo = dict(
    classes=("mouse",),
    palette=[(255, 127, 0)],
    flip_pairs=[
        ("paw1LH_top", "paw4RH_top"),
        ("paw2LF_top", "paw3RF_top"),
        ("paw1LH_bot", "paw4RH_bot"),
        ("paw2LF_bot", "paw3RF_bot"),
    ],
    sigmas=[0.05] * 17,
)
backend_args = None

# This rig's mouse always runs to the right, so nothing is mirrored.
train_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
    dict(type="mmext.PoseResize", scale=(256, 256), keep_ratio=True),
    dict(
        type="mmext.PoseAffine",
        max_rotate_degree=10.0,
        max_translate_ratio=0.05,
        scaling_ratio_range=(0.85, 1.15),
        max_shear_degree=0.0,
    ),
    dict(type="mmext.PackPoseDetInputs"),
]
# Two scales, each with the sizes that it is for: {{_base_.snip_train_pipeline}}
snip_train_pipeline = [
    *train_pipeline[:2],
    dict(
        type="RandomChoiceResize",
        scales=[(320, 320), (192, 192)],
        resize_type="mmext.PoseResize",
        keep_ratio=True,
    ),
    dict(type="mmext.ScaleValidRange", ranges=((0, 320), (64, None))),
    *train_pipeline[4:],
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
        point_offset=0.0,  # people clicked on places, not on pixels
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
        point_offset=0.0,
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
    dict(
        type="mmext.CocoKeypointMetric",
        ann_file=data_root + "annotations/test_30.json",
        backend_args=backend_args,
    ),
]
test_evaluator = val_evaluator
