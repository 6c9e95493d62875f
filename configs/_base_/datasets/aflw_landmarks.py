"""AFLW-full: 20,000 faces for training, 4,386 to judge, 19 points of which some are not visible.

Register at https://www.tugraz.at/institute/icg/research/team-bischof/learning-recognition-surveillance/downloads/aflw,
unpack the pictures below data/aflw/images/, and put AFLWinfo_release.mat of Zhu et al. (CVPR 2016)
beside that folder.
"""

dataset_type = "mmext.AFLWMatDataset"
data_root = "data/aflw/"
input_size = 256

train_pipeline = [
    dict(type="mmext.LoadFace"),
    dict(type="mmext.FaceCrop", size=input_size, margin=0.2),
    dict(type="mmext.RandomFaceAffine", scale=(0.9, 1.1), rotation=20.0, shift=30 / 256),
    dict(type="mmext.FaceFlip", prob=0.5),
    dict(type="mmext.PackLandmark"),
]
test_pipeline = [
    dict(type="mmext.LoadFace"),
    dict(type="mmext.FaceCrop", size=input_size, margin=0.2),
    dict(type="mmext.PackLandmark"),
]

files = dict(ann_file="AFLWinfo_release.mat", data_prefix=dict(img_path="images/"))
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split="train",
        take="labeled",
        pipeline=train_pipeline,
        **files,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split="test",
        test_mode=True,
        pipeline=test_pipeline,
        **files,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="mmext.LandmarkNME", norm="sqrt_area")
test_evaluator = val_evaluator
