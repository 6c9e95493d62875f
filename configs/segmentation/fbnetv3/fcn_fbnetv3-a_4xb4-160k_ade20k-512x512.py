"""FCN with FBNetV3-A on ADE20K.

Run       tools/dist_train.sh
          configs/segmentation/fbnetv3/fcn_fbnetv3-a_4xb4-160k_ade20k-512x512.py 4
          with weights of ImageNet: timm's fbnetv3_b (Apache-2.0), which has A's layers and our
          padding, after mmext convert fbnetv3
Hardware  4 GPUs, 4 images each. Not trained by us.
Expected  not known
"""

_base_ = [
    "../../_base_/models/fcn_r50-d8.py",
    "../../_base_/datasets/ade20k.py",
    "../../_base_/pipelines/test_segmentation_zero_label.py",
    "../../_base_/schedules/sgd_160k.py",
    "../../_base_/runtime_segmentation.py",
]

weights_command = "mmext convert fbnetv3 fbnetv3_b_timm.pth data/weights/fbnetv3_b.pth"

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        _delete_=True,
        type="mmext.FBNetV3",
        arch="a",
        out_indices=(1, 2, 3, 4),
        norm_cfg=dict(type="SyncBN"),
        init_cfg=dict(
            type="Pretrained", checkpoint="data/weights/fbnetv3_b.pth", prefix="backbone"
        ),
    ),
    decode_head=dict(in_channels=224, in_index=3, channels=128, num_classes=150),
    auxiliary_head=dict(in_channels=120, in_index=2, channels=64, num_classes=150),
)
