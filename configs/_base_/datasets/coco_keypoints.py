"""COCO 2017 persons with 17 keypoints, at 1333 x 800; three scales for scale-normalised training."""

dataset_type = "mmext.PoseCocoDataset"
data_root = "data/coco/"
metainfo = dict(classes=("person",), palette=[(220, 20, 60)])
backend_args = None

train_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
    dict(type="mmext.PoseResize", scale=(1333, 800), keep_ratio=True),
    dict(type="mmext.PoseFlip", prob=0.5),
    dict(type="mmext.PackPoseDetInputs"),
]
# "sifp" in a config's name: each picture at one of three scales, and each scale for its sizes.
# The longer side may be twice the shorter one.
sifp_scales = [(1792, 896), (1280, 640), (768, 384)]
sifp_ranges = [(0, 224), (40, 320), (64, None)]
sifp_train_pipeline = [
    *train_pipeline[:2],
    dict(
        type="RandomChoiceResize",
        scales=sifp_scales,
        resize_type="mmext.PoseResize",
        keep_ratio=True,
    ),
    dict(type="mmext.ScaleValidRange", ranges=sifp_ranges),
    *train_pipeline[-2:],
]
test_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="mmext.PoseResize", scale=(1333, 800), keep_ratio=True),
    dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
    dict(type="mmext.PackPoseDetInputs"),
]
# With tools/test.py --tta.
sifp_tta_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="mmext.PoseResize", scale=one, keep_ratio=True) for one in sifp_scales],
            [dict(type="mmext.LoadPoseAnnotations", with_bbox=True)],
            [dict(type="mmext.PackPoseDetInputs")],
        ],
    ),
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
        metainfo=metainfo,
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
        metainfo=metainfo,
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

# COCO's own files have a few boxes of zero size; mmdet leaves them out, and the checks count them.
verify = dict(allow_odd_boxes=True)
