"""DNL as in the paper, ResNet-101, PASCAL VOC 2012 with SBD's masks.

Run       tools/dist_train.sh
          configs/segmentation/dnl/dnl_r101-d8_4xb4-40k_voc12aug-512x512.py 4
Hardware  4 GPUs, 4 images each
Expected  not measured; PaddleSeg reports mIoU 80.49 for its own implementation
"""

_base_ = [
    "../../_base_/models/dnl_r50-d8.py",
    "../../_base_/datasets/pascal_voc12_aug.py",
    "../../_base_/pipelines/test_segmentation.py",
    "../../_base_/schedules/sgd_40k.py",
    "../../_base_/runtime_segmentation.py",
]

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(depth=101, init_cfg=dict(checkpoint="open-mmlab://resnet101_v1c")),
    decode_head=dict(type="mmext.DNLHead", num_classes=21),
    auxiliary_head=dict(num_classes=21),
)
