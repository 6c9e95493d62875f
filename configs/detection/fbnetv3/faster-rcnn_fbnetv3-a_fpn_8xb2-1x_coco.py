"""Faster R-CNN with FBNetV3-A and FPN on COCO.

Run       tools/dist_train.sh
          configs/detection/fbnetv3/faster-rcnn_fbnetv3-a_fpn_8xb2-1x_coco.py 8
          with weights of ImageNet: timm's fbnetv3_b (Apache-2.0), which has A's layers and our
          padding, after mmext convert fbnetv3
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not trained by us.
Expected  not known. d2go gives AP 22.99 for A without FPN and 43.13 for G with FPN, after its own
          training (theirs)
"""

_base_ = [
    "../../_base_/models/faster_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

weights_command = "mmext convert fbnetv3 fbnetv3_b_timm.pth data/weights/fbnetv3_b.pth"

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmext.FBNetV3",
        arch="a",
        out_indices=(1, 2, 3, 4),
        frozen_stages=0,
        norm_eval=True,  # two images a GPU are too few for statistics
        init_cfg=dict(
            type="Pretrained", checkpoint="data/weights/fbnetv3_b.pth", prefix="backbone"
        ),
    ),
    neck=dict(in_channels=[24, 40, 120, 224]),
)

optim_wrapper = dict(optimizer=dict(lr=0.02))
