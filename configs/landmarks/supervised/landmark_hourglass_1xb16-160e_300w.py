"""Four hourglasses with all labels of 300-W.

Run       python tools/train.py
          configs/landmarks/supervised/landmark_hourglass_1xb16-160e_300w.py
Hardware  one GPU
Expected  none measured; the paper has 3.49 of TS3 with all labels (full set, outer eyes)
"""

_base_ = [
    "../../_base_/models/hourglass_256.py",
    "../../_base_/datasets/300w_landmarks.py",
    "../../_base_/schedules/rmsprop_160e.py",
    "../../_base_/runtime_landmarks.py",
]

train_pipeline = [
    dict(type="mmext.LoadFace"),
    dict(type="mmext.FaceCrop", size=256, margin=0.2),
    dict(type="mmext.RandomFaceAffine", scale=(0.9, 1.1), rotation=30.0, shift=0.1, colour=0.4),
    dict(type="mmext.FaceFlip", prob=0.5),
    dict(type="mmext.PackLandmark"),
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
