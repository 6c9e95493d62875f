"""A running mouse, each labelled frame a video of its own; made by mmext/prepare/mouse.py.

The labelled frames do not follow one another, so a clip is a frame beside an altered copy of
itself: enough to learn what makes a mouse look like itself, and to see every part of a tracker run.
"""

data_command = "mmext data mouse"  # what to run when the files below are missing

dataset_type = "mmext.PoseVideoDataset"
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
    dict(type="UniformRefFrameSample", num_ref_imgs=1, frame_range=1, filter_key_img=True),
    dict(
        type="TransformBroadcaster",
        transforms=[
            dict(type="LoadImageFromFile", backend_args=backend_args),
            dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
            dict(type="mmext.PoseResize", scale=(256, 256), keep_ratio=True),
            # Drawn anew for each frame of a clip, which keep their size.
            dict(
                type="mmext.PoseAffine",
                max_rotate_degree=10.0,
                max_translate_ratio=0.05,
                scaling_ratio_range=(0.85, 1.15),
                max_shear_degree=0.0,
            ),
            dict(type="mmext.PoseCrop", crop_size=(224, 224), allow_negative_crop=True),
        ],
    ),
    dict(type="mmext.PackPoseTrackInputs"),
]
test_pipeline = [
    dict(
        type="TransformBroadcaster",
        transforms=[
            dict(type="LoadImageFromFile", backend_args=backend_args),
            dict(type="mmext.PoseResize", scale=(256, 256), keep_ratio=True),
            dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
        ],
    ),
    dict(type="mmext.PackPoseTrackInputs"),
]

train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    persistent_workers=True,
    # With iterations instead of epochs, a finite sampler would pause at each pass over the data.
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/train_60.json",
        data_prefix=dict(img_path="images/"),
        single_frames=True,
        pipeline=train_pipeline,
        backend_args=backend_args,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="TrackImgSampler"),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/test_30.json",
        data_prefix=dict(img_path="images/"),
        single_frames=True,
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)
test_dataloader = val_dataloader

# Nobody drew a box of the head; poseval leaves out each video's last frame, which is all there is.
val_evaluator = [
    dict(type="mmext.PoseTrackMetric", norm="box", poseval_compat=False),
    dict(type="mmext.PoseHOTAMetric", norm="box"),
]
test_evaluator = val_evaluator
