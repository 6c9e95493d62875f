"""DNL by the authors' code, ResNet-101, PASCAL VOC 2012 with SBD's masks, hard pixels.

Run       tools/dist_train.sh
          configs/segmentation/dnl/dnl-official_r101-d8_4xb4-ohem-30k_voc12aug-513x513.py 4
Hardware  4 GPUs, 4 images each
Expected  not measured, and not reported by the authors
"""

_base_ = [
    "../../_base_/models/dnl_r50-d8.py",
    "../../_base_/datasets/pascal_voc12_aug.py",
    "../../_base_/pipelines/test_segmentation.py",
    "../../_base_/schedules/sgd_80k.py",
    "../../_base_/runtime_segmentation.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513)),
    backbone=dict(depth=101, init_cfg=dict(checkpoint="open-mmlab://resnet101_v1c")),
    decode_head=dict(
        type="mmext.DNLHead",
        variant="segmentation",
        reduction=2,
        use_scale=None,
        num_classes=21,
        align_corners=True,
        sampler=dict(type="OHEMPixelSampler", thresh=0.7, min_kept=100000),
    ),
    auxiliary_head=dict(channels=512, num_classes=21, align_corners=True),
)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomResize", scale=(2080, 520), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(513, 513), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackSegInputs"),
]
# Both parts of the training set, their pipeline exchanged.
part = dict(type="PascalVOCDataset", data_root={{_base_.data_root}}, pipeline=train_pipeline)
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(
                ann_file="ImageSets/Segmentation/train.txt",
                data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
                **part,
            ),
            dict(
                ann_file="ImageSets/Segmentation/aug.txt",
                data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug"),
                **part,
            ),
        ]
    )
)
# Without decay of queries and keys the logits grow as sharp as they want: this stands for the
# temperature.
optim_wrapper = dict(
    optimizer=dict(lr=0.01, weight_decay=0.0001),
    paramwise_cfg=dict(
        custom_keys={"dnl_block.theta": dict(decay_mult=0.0), "dnl_block.phi": dict(decay_mult=0.0)}
    ),
)
train_cfg = dict(max_iters=30000, val_interval=3000)
param_scheduler = [dict(type="PolyLR", eta_min=0.0, power=0.9, begin=0, end=30000, by_epoch=False)]
