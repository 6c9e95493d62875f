"""DNL as in the paper, ResNet-101, Cityscapes in crops of 769 x 769.

Run       tools/dist_train.sh
          configs/segmentation/dnl/dnl_r101-d8_4xb2-80k_cityscapes-769x769.py 4
Hardware  4 GPUs, 2 images each
Expected  mIoU 79.41, that of mmseg's zoo with the same mathematics; ours is not trained there
"""

_base_ = [
    "../../_base_/models/dnl_r50-d8.py",
    "../../_base_/datasets/cityscapes_769x769.py",
    "../../_base_/pipelines/test_segmentation.py",
    "../../_base_/schedules/sgd_80k.py",
    "../../_base_/runtime_segmentation.py",
]

model = dict(
    data_preprocessor=dict(size=(769, 769)),
    backbone=dict(depth=101, init_cfg=dict(checkpoint="open-mmlab://resnet101_v1c")),
    decode_head=dict(type="mmext.DNLHead", align_corners=True),
    auxiliary_head=dict(align_corners=True),
    test_cfg=dict(mode="slide", crop_size=(769, 769), stride=(513, 513)),
)
