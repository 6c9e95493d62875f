"""COCO 2017 persons with 17 keypoints, short side 640 to 800.

Other points than COCO's, with those in place that both have, for a training that goes on on
PoseTrack: ``train_dataloader = dict(dataset=dict(layout="posetrack15"))`` and the same for val and
test.
"""

dataset_type = "mmext.PoseCocoDataset"
data_root = "data/coco/"
backend_args = None

train_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
    dict(
        type="RandomChoiceResize",
        scales=[(1333, 640), (1333, 672), (1333, 704), (1333, 736), (1333, 768), (1333, 800)],
        resize_type="mmext.PoseResize",
        keep_ratio=True,
    ),
    dict(type="mmext.PoseFlip", prob=0.5),
    dict(type="mmext.PackPoseDetInputs"),
]
# Scale-normalised: each scale learns the sizes that it is for. "snip" in a config's name:
# train_dataloader = dict(dataset=dict(pipeline={{_base_.snip_train_pipeline}}))
snip_train_pipeline = [
    *train_pipeline[:2],
    dict(
        type="RandomChoiceResize",
        scales=[(1493, 896), (1067, 640), (640, 384)],
        resize_type="mmext.PoseResize",
        keep_ratio=True,
    ),
    dict(type="mmext.ScaleValidRange", ranges=((0, 224), (40, 320), (64, None))),
    *train_pipeline[3:],
]
# "turned" in a config's name: {{_base_.turned_train_pipeline}}
turned_train_pipeline = [
    *train_pipeline[:3],
    dict(
        type="mmext.PoseAffine",
        max_rotate_degree=30.0,
        max_translate_ratio=0.1,
        scaling_ratio_range=(0.7, 1.3),
        max_shear_degree=0.0,
    ),
    dict(type="mmext.PoseCrop", crop_size=(800, 1000), allow_negative_crop=True),
    *train_pipeline[3:],
]
test_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="mmext.PoseResize", scale=(1333, 800), keep_ratio=True),
    dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
    dict(type="mmext.PackPoseDetInputs"),
]

train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/person_keypoints_train2017.json",
        data_prefix=dict(img="train2017/"),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
        backend_args=backend_args,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/person_keypoints_val2017.json",
        data_prefix=dict(img="val2017/"),
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type="CocoMetric",
        ann_file=data_root + "annotations/person_keypoints_val2017.json",
        metric="bbox",
        backend_args=backend_args,
    ),
    dict(
        type="mmext.CocoKeypointMetric",
        ann_file=data_root + "annotations/person_keypoints_val2017.json",
        backend_args=backend_args,
    ),
]
test_evaluator = val_evaluator

# COCO's own files have a few boxes of zero size, and points a pixel outside their picture; mmdet
# leaves the boxes out, and the checks count both.
verify = dict(allow_odd_boxes=True)
