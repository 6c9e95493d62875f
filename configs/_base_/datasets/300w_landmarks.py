"""300-W: 3,148 faces for training, 554 common and 135 challenging ones to judge, 68 points.

Register at https://ibug.doc.ic.ac.uk/resources/300-W/ and unpack AFW, HELEN, LFPW and iBUG as they
are, each below data/300w/. The shares of labels are drawn from the files in the order of their
paths: ``labeled_share=0.2, share_seed=0`` of the data set.
"""

dataset_type = "mmext.PTSLandmarkDataset"
data_root = "data/300w/"
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

train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path=""),
        folders=dict(train=["afw", "helen/trainset", "lfpw/trainset"]),
        take="labeled",
        pipeline=train_pipeline,
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
        data_prefix=dict(img_path=""),
        folders=dict(common=["helen/testset", "lfpw/testset"], challenging=["ibug"]),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

# landmarks/NME is of the full set; landmarks/common/NME and landmarks/challenging/NME of its parts
val_evaluator = dict(type="mmext.LandmarkNME", norm="outer_eye")
test_evaluator = val_evaluator
