"""The faces of 300-W's training part whose labels are hidden; configs give the share of labels.

Pipeline and files are those of 300w_landmarks.py, without chance.
"""

unlabeled_dataloader = dict(
    batch_size=16,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="mmext.PTSLandmarkDataset",
        data_root="data/300w/",
        data_prefix=dict(img_path=""),
        folders=dict(train=["afw", "helen/trainset", "lfpw/trainset"]),
        take="unlabeled",
        test_mode=True,
        pipeline=[
            dict(type="mmext.LoadFace"),
            dict(type="mmext.FaceCrop", size=256, margin=0.2),
            dict(type="mmext.PackLandmark"),
        ],
    ),
)
