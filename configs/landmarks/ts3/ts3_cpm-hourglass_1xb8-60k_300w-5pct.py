"""TS3 with 5 % of the labels of 300-W, 157 faces; the others are labelled in five rounds.

Run       python tools/train.py
          configs/landmarks/ts3/ts3_cpm-hourglass_1xb8-60k_300w-5pct.py
Hardware  one GPU
Expected  none measured, and none in what could be read of the paper
"""

_base_ = [
    "../../_base_/models/ts3_cpm-hourglass_256.py",
    "../../_base_/datasets/300w_landmarks.py",
    "../../_base_/datasets/300w_unlabeled.py",
    "../../_base_/schedules/ts3_60k.py",
    "../../_base_/runtime_landmarks_iters.py",
]

# The same draw, once for each half.
train_dataloader = dict(dataset=dict(labeled_share=0.05, share_seed=0))
unlabeled_dataloader = dict(dataset=dict(labeled_share=0.05, share_seed=0))

default_hooks = dict(checkpoint=dict(interval=4000))
