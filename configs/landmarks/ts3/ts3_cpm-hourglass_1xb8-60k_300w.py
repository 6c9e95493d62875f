"""TS3's two students with all labels of 300-W: no rounds, only the mean of both students' maps.

Run       python tools/train.py
          configs/landmarks/ts3/ts3_cpm-hourglass_1xb8-60k_300w.py
Hardware  one GPU
Expected  none measured; the paper has 3.49 (full set, outer eyes)
"""

_base_ = [
    "../../_base_/models/ts3_cpm-hourglass_256.py",
    "../../_base_/datasets/300w_landmarks.py",
    "../../_base_/schedules/ts3_60k.py",
    "../../_base_/runtime_landmarks_iters.py",
]

default_hooks = dict(checkpoint=dict(interval=4000))
