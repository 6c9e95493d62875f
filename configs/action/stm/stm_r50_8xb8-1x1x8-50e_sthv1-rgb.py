"""STM, ResNet-50, 8 frames, on Something-Something V1: order in time is the class.

Run       tools/dist_train.sh configs/action/stm/stm_r50_8xb8-1x1x8-50e_sthv1-rgb.py 8
Hardware  written for 8 GPUs x 8 clips; other batch sizes: --auto-scale-lr. Not run by us.
Expected  not known to us: the paper has a number for 8 frames, which we could not check
"""

_base_ = [
    "../../_base_/models/tsm_r50.py",
    "../../_base_/datasets/sthv1_action.py",
    "../../_base_/pipelines/rawframes_224.py",
    "../../_base_/schedules/sgd_50e.py",
    "../../_base_/runtime_action.py",
]

model = dict(
    backbone=dict(type="mmext.ResNetSTM"),
    cls_head=dict(num_classes=174),
    test_cfg=dict(max_testing_views=80),  # 10 of the 30 views at a time
)
train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.train_crops, *_base_.flips, *_base_.pack], **_base_.train_set),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline, **_base_.val_set))
test_dataloader = dict(dataset=dict(pipeline=_base_.views30_pipeline, **_base_.val_set))
