"""A pose machine with 5 % of the labels of 300-W, 157 faces.

Run       python tools/train.py
          configs/landmarks/supervised/landmark_vgg-cpm_1xb8-1000e_300w-5pct.py
Hardware  one GPU
Expected  none measured; the column that TS3 is to beat
"""

_base_ = [
    "../../_base_/models/vgg-cpm_256.py",
    "../../_base_/datasets/300w_landmarks.py",
    "../../_base_/schedules/cpm_50e.py",
    "../../_base_/runtime_landmarks.py",
]

# 20 times the epochs: as many iterations as with all labels
train_cfg = dict(max_epochs=1000, val_interval=20)
param_scheduler = [dict(type="MultiStepLR", by_epoch=True, milestones=[600, 800], gamma=0.5)]
default_hooks = dict(checkpoint=dict(interval=20))
train_dataloader = dict(dataset=dict(labeled_share=0.05, share_seed=0))
