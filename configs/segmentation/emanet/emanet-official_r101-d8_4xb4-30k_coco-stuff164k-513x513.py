"""EMANet by the authors' code, ResNet-101, COCO-Stuff 164k.

Run       tools/dist_train.sh
          configs/segmentation/emanet/emanet-official_r101-d8_4xb4-30k_coco-stuff164k-513x513.py 4
Hardware  4 GPUs, 4 images each; the authors say that 16 images a step are essential
Expected  not measured, and not reported by the authors
"""

_base_ = [
    "../../_base_/models/emanet_r50-d8.py",
    "../../_base_/datasets/coco-stuff164k.py",
    "../../_base_/pipelines/test_segmentation.py",
    "../../_base_/pipelines/scale_factors.py",
    "../../_base_/schedules/sgd_20k.py",
    "../../_base_/runtime_segmentation.py",
]

norm_cfg = dict(type="SyncBN", momentum=3e-4, requires_grad=True)
model = dict(
    data_preprocessor=dict(size=(513, 513)),
    # mmseg's multi_grid names dilations; the authors' code has factors of them, which come to the
    # same.
    backbone=dict(
        depth=101,
        multi_grid=(2, 8, 16),
        norm_cfg=norm_cfg,
        init_cfg=dict(checkpoint="open-mmlab://resnet101_v1c"),
    ),
    decode_head=dict(
        type="mmext.EMAHead",
        bases_update="official",
        concat_input=False,
        num_classes=171,
        norm_cfg=norm_cfg,
        align_corners=True,
    ),
    auxiliary_head=None,
)

train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.train_pipeline[:2], *_base_.scale_factors]),
)

# Decay on the weights of convolutions alone; their biases learn twice as fast.
optim_wrapper = dict(
    optimizer=dict(lr=0.009, weight_decay=0.0001),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, bias_lr_mult=2.0),
)
train_cfg = dict(max_iters=30000, val_interval=3000)
param_scheduler = [dict(type="PolyLR", eta_min=0.0, power=0.9, begin=0, end=30000, by_epoch=False)]
