"""A running mouse with 17 points that people marked: 70 frames for training, 20 to judge.

Errors are in percent of the frame's longer side. The frames are of one rig, where the mouse always
runs to the same side, so nothing is mirrored; and whole, since the boxes in the files were made of
the labels, which frames of a video do not have.
"""

data_command = "mmext data mouse"  # what to run when the files below are missing

dataset_type = "mmext.COCOLandmarkDataset"
data_root = "data/mouse/"
input_size = 128

train_pipeline = [
    dict(type="mmext.LoadFace", whole=True),
    dict(type="mmext.FaceCrop", size=input_size, margin=0.0),
    dict(type="mmext.RandomFaceAffine", scale=(0.9, 1.1), rotation=15.0, shift=0.05, colour=0.2),
    dict(type="mmext.PackLandmark"),
]
test_pipeline = [
    dict(type="mmext.LoadFace", whole=True),
    dict(type="mmext.FaceCrop", size=input_size, margin=0.0),
    dict(type="mmext.PackLandmark"),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/train_70.json",
        data_prefix=dict(img_path="images/"),
        take="labeled",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=20,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/test_20.json",
        data_prefix=dict(img_path="images/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mmext.LandmarkNME", norm="side")
test_evaluator = val_evaluator
