"""Your own pictures: train/ and val/ with one folder a class, or a list beside a flat folder.

Change ``data_root``, and ``num_classes`` of the head. A list is ``path label`` or ``path,label`` a
line; its labels are numbers, or names if ``metainfo=dict(classes=(...))`` lists them:
``dataset=dict(ann_file="val.csv", data_prefix=dict(img_path="pictures"))``. To mix pictures and
labels, give the model
``data_preprocessor=dict(type="mmext.MixupDataPreprocessor", num_classes=10, alpha=0.2)``.
"""

dataset_type = "mmext.FolderClsDataset"
data_root = "data/pictures/"

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="mmext.RandomResizedCrop", scale=224),
    dict(type="RandomFlip", prob=0.5),
    dict(type="mmext.PackClsInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(100000, 256), keep_ratio=True),  # the shorter side becomes 256
    dict(type="CenterCrop", crop_size=224),
    dict(type="mmext.PackClsInputs"),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path="train"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path="val"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mmext.TopKAccuracy", topk=(1, 5))
test_evaluator = val_evaluator
