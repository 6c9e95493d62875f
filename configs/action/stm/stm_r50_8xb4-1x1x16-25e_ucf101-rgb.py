"""STM, ResNet-50, 16 frames, on UCF-101: fine-tuned from Kinetics-400.

Run       tools/dist_train.sh configs/action/stm/stm_r50_8xb4-1x1x16-25e_ucf101-rgb.py 8
Hardware  written for 8 GPUs x 4 clips; other batch sizes: --auto-scale-lr. Not run by us.
Expected  top-1 96.2 with 30 views, mean of three splits (a public leaderboard's entry of the paper;
          we have not checked the paper)
"""

_base_ = [
    "../../_base_/models/tsm_r50.py",
    "../../_base_/datasets/ucf101_action.py",
    "../../_base_/pipelines/videos_224.py",
    "../../_base_/schedules/sgd_25e.py",
    "../../_base_/runtime_action.py",
]

model = dict(
    backbone=dict(type="mmext.ResNetSTM", num_segments=16, pretrained=None),
    cls_head=dict(num_classes=101, num_segments=16),
    test_cfg=dict(max_testing_views=160),  # 10 of the 30 views at a time
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        pipeline=[*_base_.train_crops_16, *_base_.flips, *_base_.pack], **_base_.train_set
    ),
)
val_dataloader = dict(
    batch_size=4, dataset=dict(pipeline=_base_.test_pipeline_16, **_base_.val_set)
)
test_dataloader = dict(dataset=dict(pipeline=_base_.views30_pipeline_16, **_base_.val_set))
auto_scale_lr = dict(base_batch_size=32)
load_from = "work_dirs/stm_r50_8xb4-1x1x16-50e_kinetics400-rgb/epoch_50.pth"
