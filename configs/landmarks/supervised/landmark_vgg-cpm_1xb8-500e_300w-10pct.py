"""A pose machine with 10 % of the labels of 300-W, 315 faces.

Run       python tools/train.py
          configs/landmarks/supervised/landmark_vgg-cpm_1xb8-500e_300w-10pct.py
Hardware  one GPU
Expected  none measured; the column that TS3 is to beat
"""

_base_ = [
    "../../_base_/models/vgg-cpm_256.py",
    "../../_base_/datasets/300w_landmarks.py",
    "../../_base_/schedules/cpm_50e.py",
    "../../_base_/runtime_landmarks.py",
]

# 10 times the epochs: as many iterations as with all labels
train_cfg = dict(max_epochs=500, val_interval=10)
param_scheduler = [dict(type="MultiStepLR", by_epoch=True, milestones=[300, 400], gamma=0.5)]
default_hooks = dict(checkpoint=dict(interval=10))
train_dataloader = dict(dataset=dict(labeled_share=0.1, share_seed=0))
