"""The first of four arms: plain Faster R-CNN, ResNet-50, with the gradient clipping of the others.

Run       tools/dist_train.sh
          configs/detection/sample_weighting/faster-rcnn_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  box AP 37.4 (mmdet's model zoo, val2017, without gradient clipping)
"""

_base_ = [
    "../../_base_/models/faster_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]


optim_wrapper = dict(optimizer=dict(lr=0.02), clip_grad=dict(max_norm=35, norm_type=2))
