"""TSN with residual labels, ResNet-50, 8 frames, Kinetics-400: one line in a recogniser's config.

Run       tools/dist_train.sh
          configs/action/residual_labels/residual-labels_tsn_r50_8xb8-1x1x8-50e_kinetics400-rgb.py 8
Hardware  written for 8 GPUs x 8 clips; other batch sizes: --auto-scale-lr. Not run by us.
Expected  not known
"""

_base_ = [
    "../../_base_/models/tsn_r50.py",
    "../../_base_/datasets/kinetics400_action.py",
    "../../_base_/pipelines/videos_224.py",
    "../../_base_/schedules/sgd_50e.py",
    "../../_base_/runtime_action.py",
]

model = dict(cls_head=dict(loss_cls=dict(type="mmext.ResidualLabelLoss", num_classes=400)))
train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.train_crops, *_base_.flips, *_base_.pack], **_base_.train_set)
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline, **_base_.val_set))
test_dataloader = dict(dataset=dict(pipeline=_base_.views30_pipeline, **_base_.val_set))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={"residual_matrix": dict(decay_mult=0.0)}),
)
