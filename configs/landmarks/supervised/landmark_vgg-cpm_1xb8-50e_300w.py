"""A pose machine with all labels of 300-W.

Run       python tools/train.py
          configs/landmarks/supervised/landmark_vgg-cpm_1xb8-50e_300w.py
Hardware  one GPU
Expected  none measured; the paper has 3.49 of TS3 with all labels (full set, outer eyes)
"""

_base_ = [
    "../../_base_/models/vgg-cpm_256.py",
    "../../_base_/datasets/300w_landmarks.py",
    "../../_base_/schedules/cpm_50e.py",
    "../../_base_/runtime_landmarks.py",
]
