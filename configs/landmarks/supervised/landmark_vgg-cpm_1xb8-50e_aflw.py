"""A pose machine on AFLW: 19 points, errors over the square root of the box's area.

Run       python tools/train.py
          configs/landmarks/supervised/landmark_vgg-cpm_1xb8-50e_aflw.py
Hardware  one GPU
Expected  none measured
"""

_base_ = [
    "../../_base_/models/vgg-cpm_256.py",
    "../../_base_/datasets/aflw_landmarks.py",
    "../../_base_/schedules/cpm_50e.py",
    "../../_base_/runtime_landmarks.py",
]

model = dict(net=dict(num_keypoints=19))
