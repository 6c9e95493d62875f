"""Boxes, 17 keypoints and their visibility of COCO's persons, ResNet-50.

Run       tools/dist_train.sh
          configs/pose/fastpose/mtn_faster-rcnn_r50_fpn_8xb2-1x_coco.py 8
Hardware  8 GPUs
Expected  not measured
"""

_base_ = [
    "../../_base_/models/mtn_r50_fpn.py",
    "../../_base_/datasets/coco_keypoints.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

optim_wrapper = dict(optimizer=dict(lr=0.02))
