"""COCO 2017 boxes and masks at 1333 x 800, as in mmdet's configs; stuff maps if asked for."""

dataset_type = "CocoDataset"
data_root = "data/coco/"
backend_args = None

train_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Resize", scale=(1333, 800), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
# For a semantic branch, with COCO's stuffthingmaps beside the images:
# train_dataloader = dict(
#     dataset=dict(data_prefix={{_base_.seg_prefix}}, pipeline={{_base_.seg_train_pipeline}}))
seg_prefix = dict(img="train2017/", seg="stuffthingmaps/train2017/")
seg_train_pipeline = [
    train_pipeline[0],
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True, with_seg=True),
    *train_pipeline[2:],
]
# "ms" in a config's name: short sides of 400 to 1200, as the authors of DetectoRS train.
ms_seg_train_pipeline = [
    *seg_train_pipeline[:2],
    dict(type="RandomResize", scale=[(1333, 400), (1333, 1200)], keep_ratio=True),
    *seg_train_pipeline[3:],
]
test_pipeline = [
    dict(type="LoadImageFromFile", backend_args=backend_args),
    dict(type="Resize", scale=(1333, 800), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
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
        ann_file="annotations/instances_train2017.json",
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
        ann_file="annotations/instances_val2017.json",
        data_prefix=dict(img="val2017/"),
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type="CocoMetric",
    ann_file=data_root + "annotations/instances_val2017.json",
    metric=["bbox", "segm"],
    backend_args=backend_args,
)
test_evaluator = val_evaluator

# COCO's own files have a few boxes of zero size; mmdet leaves them out, and the checks count them.
verify = dict(allow_odd_boxes=True)
