"""EMANet as in mmseg, ResNet-50, Cityscapes in crops of 512 x 1024.

Run       tools/dist_train.sh
          configs/segmentation/emanet/emanet_r50-d8_4xb2-80k_cityscapes-512x1024.py 4
Hardware  4 GPUs, 2 images each
Expected  mIoU 77.59 at one scale, 79.44 at several: mmseg's zoo with the same mathematics
"""

_base_ = [
    "../../_base_/models/emanet_r50-d8.py",
    "../../_base_/datasets/cityscapes.py",
    "../../_base_/pipelines/test_segmentation.py",
    "../../_base_/schedules/sgd_80k.py",
    "../../_base_/runtime_segmentation.py",
]

model = dict(
    decode_head=dict(type="mmext.EMAHead"),
)
