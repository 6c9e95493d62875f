"""Your own points in tables of DeepLabCut or lightning-pose, and the video that they are from.

Change ``data_root``, and ``num_keypoints`` of the net; ``unlabeled`` is for methods that learn from
frames without labels too.
"""

dataset_type = "mmext.CSVLandmarkDataset"
data_root = "data/project/"
input_size = 256

train_pipeline = [
    dict(type="mmext.LoadFace"),
    dict(type="mmext.FaceCrop", size=input_size, margin=0.2),
    dict(type="mmext.RandomFaceAffine", scale=(0.9, 1.1), rotation=20.0, shift=0.1, colour=0.2),
    dict(type="mmext.PackLandmark"),
]
test_pipeline = [
    dict(type="mmext.LoadFace"),
    dict(type="mmext.FaceCrop", size=input_size, margin=0.2),
    dict(type="mmext.PackLandmark"),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="train.csv",
        data_prefix=dict(img_path=""),
        take="labeled",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="val.csv",
        data_prefix=dict(img_path=""),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mmext.LandmarkNME", norm="side")
test_evaluator = val_evaluator

unlabeled = dict(
    type="mmext.VideoFrames",
    data_root=data_root,
    data_prefix=dict(img_path="videos/video.mp4"),  # or a folder of pictures
    every=5,
    pipeline=test_pipeline,
)
