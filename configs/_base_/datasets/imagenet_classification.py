"""ImageNet-1k as Kaggle and image-net.org hand it out: training folders by synset, flat validation.

``LOC_val_solution.csv`` and ``LOC_synset_mapping.txt`` are Kaggle's. Where the validation pictures
lie in folders by synset, leave ``ann_file`` out. A config of another size changes
``train_pipeline[1]["scale"]``, the two sizes of ``test_pipeline``, or writes its own pipelines.
"""

dataset_type = "mmext.ImageNetDataset"
data_root = "data/imagenet/"
synsets = "LOC_synset_mapping.txt"

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
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        synsets=synsets,
        data_prefix=dict(img_path="train"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        synsets=synsets,
        ann_file="LOC_val_solution.csv",
        data_prefix=dict(img_path="val"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mmext.TopKAccuracy", topk=(1, 5))
test_evaluator = val_evaluator
