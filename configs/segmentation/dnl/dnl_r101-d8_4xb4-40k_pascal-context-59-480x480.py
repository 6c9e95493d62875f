"""DNL as in the paper, ResNet-101, PASCAL-Context without background.

Run       tools/dist_train.sh
          configs/segmentation/dnl/dnl_r101-d8_4xb4-40k_pascal-context-59-480x480.py 4
Hardware  4 GPUs, 4 images each
Expected  not measured
"""

_base_ = [
    "../../_base_/models/dnl_r50-d8.py",
    "../../_base_/datasets/pascal_context_59.py",
    "../../_base_/pipelines/test_segmentation_zero_label.py",
    "../../_base_/schedules/sgd_40k.py",
    "../../_base_/runtime_segmentation.py",
]

model = dict(
    data_preprocessor=dict(size=(480, 480)),
    backbone=dict(depth=101, init_cfg=dict(checkpoint="open-mmlab://resnet101_v1c")),
    decode_head=dict(type="mmext.DNLHead", num_classes=59),
    auxiliary_head=dict(num_classes=59),
    test_cfg=dict(mode="slide", crop_size=(480, 480), stride=(320, 320)),
)
