"""PoseTrack 2018: videos with 15 joints of each person; data after registration.

Its files have ears besides, which nobody marked: they are left out.
Clips of two frames that lie at most 8 places apart; a test sees frame after frame.
"""

dataset_type = "mmext.PoseVideoDataset"
data_root = "data/posetrack18/"
backend_args = None

train_pipeline = [
    dict(type="UniformRefFrameSample", num_ref_imgs=1, frame_range=8, filter_key_img=True),
    dict(
        type="TransformBroadcaster",
        share_random_params=True,  # the frames of a clip stay of one size and side
        transforms=[
            dict(type="LoadImageFromFile", backend_args=backend_args),
            dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
            dict(
                type="RandomChoiceResize",
                scales=[(1333, 640), (1333, 720), (1333, 800)],
                resize_type="mmext.PoseResize",
                keep_ratio=True,
            ),
            dict(type="mmext.PoseFlip", prob=0.5),
        ],
    ),
    dict(type="mmext.PackPoseTrackInputs"),
]
# Scale-normalised: {{_base_.snip_train_pipeline}}
snip_train_pipeline = [
    train_pipeline[0],
    dict(
        type="TransformBroadcaster",
        share_random_params=True,
        transforms=[
            dict(type="LoadImageFromFile", backend_args=backend_args),
            dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
            dict(
                type="RandomChoiceResize",
                scales=[(1493, 896), (1067, 640), (640, 384)],
                resize_type="mmext.PoseResize",
                keep_ratio=True,
            ),
            dict(type="mmext.ScaleValidRange", ranges=((0, 224), (40, 320), (64, None))),
            dict(type="mmext.PoseFlip", prob=0.5),
        ],
    ),
    train_pipeline[-1],
]
test_pipeline = [
    dict(
        type="TransformBroadcaster",
        transforms=[
            dict(type="LoadImageFromFile", backend_args=backend_args),
            dict(type="mmext.PoseResize", scale=(1333, 800), keep_ratio=True),
            dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
        ],
    ),
    dict(type="mmext.PackPoseTrackInputs"),
]

train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="TrackImgSampler"),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/train",
        data_prefix=dict(img_path=""),
        layout="posetrack15",
        visible_from=1,
        pipeline=train_pipeline,
        backend_args=backend_args,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="TrackImgSampler"),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/val",
        data_prefix=dict(img_path=""),
        layout="posetrack15",
        visible_from=1,
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mmext.PoseTrackMetric")
test_evaluator = val_evaluator
