"""DNL by the authors' code, ResNet-101, Cityscapes in crops of 769 x 769, hard pixels.

Run       tools/dist_train.sh
          configs/segmentation/dnl/dnl-official_r101-d8_4xb2-ohem-60k_cityscapes-769x769.py 4
Hardware  4 GPUs, 2 images each
Expected  not measured
"""

_base_ = [
    "../../_base_/models/dnl_r50-d8.py",
    "../../_base_/datasets/cityscapes_769x769.py",
    "../../_base_/pipelines/test_segmentation.py",
    "../../_base_/schedules/sgd_80k.py",
    "../../_base_/runtime_segmentation.py",
]

CLASS_WEIGHT = [
    *(0.8373, 0.9180, 0.8660, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023),
    *(0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507),
]
# mmseg's own mean looks up the class weight of ignored pixels, which have none, and stops. Without
# it the losses are averaged over all pixels afterwards.
weighted = dict(class_weight=CLASS_WEIGHT, reduction="none")

model = dict(
    data_preprocessor=dict(size=(769, 769)),
    backbone=dict(depth=101, init_cfg=dict(checkpoint="open-mmlab://resnet101_v1c")),
    decode_head=dict(
        type="mmext.DNLHead",
        variant="segmentation",
        reduction=2,
        use_scale=None,
        num_classes=19,
        align_corners=True,
        sampler=dict(type="OHEMPixelSampler", thresh=0.7, min_kept=100000),
        loss_decode=dict(**weighted),
    ),
    auxiliary_head=dict(
        channels=512, num_classes=19, align_corners=True, loss_decode=dict(**weighted)
    ),
    test_cfg=dict(mode="slide", crop_size=(769, 769), stride=(513, 513)),
)
# Without decay of queries and keys the logits grow as sharp as they want: this stands for the
# temperature.
optim_wrapper = dict(
    optimizer=dict(lr=0.01, weight_decay=0.0005),
    paramwise_cfg=dict(
        custom_keys={"dnl_block.theta": dict(decay_mult=0.0), "dnl_block.phi": dict(decay_mult=0.0)}
    ),
)
train_cfg = dict(max_iters=60000, val_interval=6000)
param_scheduler = [dict(type="PolyLR", eta_min=0.0, power=0.9, begin=0, end=60000, by_epoch=False)]
