"""DNL as in the paper, ResNet-101, ADE20K.

Run       tools/dist_train.sh
          configs/segmentation/dnl/dnl_r101-d8_4xb4-160k_ade20k-512x512.py 4
Hardware  4 GPUs, 4 images each
Expected  mIoU 44.25, that of mmseg's zoo with the same mathematics; ours is not trained there
"""

_base_ = [
    "../../_base_/models/dnl_r50-d8.py",
    "../../_base_/datasets/ade20k.py",
    "../../_base_/pipelines/test_segmentation_zero_label.py",
    "../../_base_/schedules/sgd_160k.py",
    "../../_base_/runtime_segmentation.py",
]

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(depth=101, init_cfg=dict(checkpoint="open-mmlab://resnet101_v1c")),
    decode_head=dict(type="mmext.DNLHead", num_classes=150),
    auxiliary_head=dict(num_classes=150),
)
