"""Your own points in JSON: train.json and val.json beside the pictures that they name.

Change ``data_root``, and ``num_keypoints`` of the net. The file is ``{"keypoint_names": ["nose",
...], "flip_pairs": [[1, 2], ...], "samples": [{"img_path": "a.jpg", "keypoints": [[10, 20.5], null,
...]}, ...]}``; a sample may have ``bbox``. With pairs, add ``dict(type="mmext.FaceFlip")`` to the
training pipeline, before the last step.
"""

dataset_type = "mmext.LandmarkDataset"
data_root = "data/points/"
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
        ann_file="train.json",
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
        ann_file="val.json",
        data_prefix=dict(img_path=""),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mmext.LandmarkNME", norm="side")
test_evaluator = val_evaluator
