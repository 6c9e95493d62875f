"""Four hourglasses on AFLW: 19 points, errors over the square root of the box's area.

Run       python tools/train.py
          configs/landmarks/supervised/landmark_hourglass_1xb16-160e_aflw.py
Hardware  one GPU
Expected  none measured
"""

_base_ = [
    "../../_base_/models/hourglass_256.py",
    "../../_base_/datasets/aflw_landmarks.py",
    "../../_base_/schedules/rmsprop_160e.py",
    "../../_base_/runtime_landmarks.py",
]

model = dict(net=dict(num_keypoints=19))

train_pipeline = [
    dict(type="mmext.LoadFace"),
    dict(type="mmext.FaceCrop", size=256, margin=0.2),
    dict(type="mmext.RandomFaceAffine", scale=(0.9, 1.1), rotation=30.0, shift=0.1, colour=0.4),
    dict(type="mmext.FaceFlip", prob=0.5),
    dict(type="mmext.PackLandmark"),
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
