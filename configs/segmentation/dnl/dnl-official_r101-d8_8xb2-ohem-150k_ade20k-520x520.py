"""DNL by the authors' code, ResNet-101, ADE20K, hard pixels.

Run       tools/dist_train.sh
          configs/segmentation/dnl/dnl-official_r101-d8_8xb2-ohem-150k_ade20k-520x520.py 8
Hardware  8 GPUs, 2 images each
Expected  mIoU 45.97 with several scales is the authors' on a leaderboard page; ours is not trained
          there
"""

_base_ = [
    "../../_base_/models/dnl_r50-d8.py",
    "../../_base_/datasets/ade20k.py",
    "../../_base_/pipelines/test_segmentation_zero_label.py",
    "../../_base_/schedules/sgd_80k.py",
    "../../_base_/runtime_segmentation.py",
]

model = dict(
    data_preprocessor=dict(size=(520, 520)),
    backbone=dict(depth=101, init_cfg=dict(checkpoint="open-mmlab://resnet101_v1c")),
    decode_head=dict(
        type="mmext.DNLHead",
        variant="segmentation",
        reduction=2,
        use_scale=None,
        num_classes=150,
        align_corners=True,
        sampler=dict(type="OHEMPixelSampler", thresh=0.7, min_kept=100000),
    ),
    auxiliary_head=dict(channels=512, num_classes=150, align_corners=True),
)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", reduce_zero_label=True),
    dict(type="RandomResize", scale=(2080, 520), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(520, 520), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
# Without decay of queries and keys the logits grow as sharp as they want: this stands for the
# temperature.
optim_wrapper = dict(
    optimizer=dict(lr=0.02, weight_decay=0.0001),
    paramwise_cfg=dict(
        custom_keys={"dnl_block.theta": dict(decay_mult=0.0), "dnl_block.phi": dict(decay_mult=0.0)}
    ),
)
train_cfg = dict(max_iters=150000, val_interval=15000)
param_scheduler = [dict(type="PolyLR", eta_min=0.0, power=0.9, begin=0, end=150000, by_epoch=False)]
