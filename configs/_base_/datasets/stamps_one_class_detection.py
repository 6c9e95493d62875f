"""Photographic cut-outs on photographs, one class; mmext/prepare/stamps.py says how they are made.

2000 training images, 500 for choosing (val) and 500 for the one look at the end (test), of
160 x 160; the three share no cut-out and no background. Beside the usual numbers come AP at IoU 0.9
(``coco90/bbox_mAP``) and which share of the objects that are hidden in part is found at IoU 0.5
(``hidden/bbox_AR@100``).
"""

data_command = "mmext data stamps --one-class"  # what to run when the files below are missing

dataset_type = "CocoDataset"
data_root = "data/stamps_one_class/"
metainfo = dict(classes=("object",), palette=[(255, 127, 0)])
backend_args = None

# Images are composed at their final size, with objects of many sizes, so nothing here changes it.
train_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    # mmdet's detectors undo a scale factor, which only a resize notes down; this one keeps the
    # size.
    dict(type="Resize", scale=(160, 160), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    # With iterations instead of epochs, a finite sampler would pause at each pass over the data.
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/train.json",
        data_prefix=dict(img="train/"),
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
        ann_file="annotations/dev.json",
        data_prefix=dict(img="dev/"),
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/test.json",
        data_prefix=dict(img="test/"),
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)

val_evaluator = [
    dict(
        type="CocoMetric",
        ann_file=data_root + "annotations/dev.json",
        metric="bbox",
        backend_args=backend_args,
    ),
    dict(
        type="CocoMetric",
        prefix="coco90",
        ann_file=data_root + "annotations/dev.json",
        metric="bbox",
        iou_thrs=[0.9],  # the mean over one threshold is the AP at that threshold
        metric_items=["mAP"],
        backend_args=backend_args,
    ),
    dict(
        type="CocoMetric",
        prefix="hidden",
        ann_file=data_root + "annotations/dev_hidden.json",
        metric="bbox",
        iou_thrs=[0.5],
        metric_items=["AR@100"],
        backend_args=backend_args,
    ),
]
test_evaluator = [
    dict(
        type="CocoMetric",
        ann_file=data_root + "annotations/test.json",
        metric="bbox",
        backend_args=backend_args,
    ),
    dict(
        type="CocoMetric",
        prefix="coco90",
        ann_file=data_root + "annotations/test.json",
        metric="bbox",
        iou_thrs=[0.9],  # the mean over one threshold is the AP at that threshold
        metric_items=["mAP"],
        backend_args=backend_args,
    ),
    dict(
        type="CocoMetric",
        prefix="hidden",
        ann_file=data_root + "annotations/test_hidden.json",
        metric="bbox",
        iou_thrs=[0.5],
        metric_items=["AR@100"],
        backend_args=backend_args,
    ),
]
