"""Cascade R-CNN, ResNet-50: the baseline of DetectoRS in mmdet's zoo.

Run       tools/dist_train.sh
          configs/detection/detecto_rs/cascade-rcnn_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  box AP 40.3 (mmdet's model zoo, val2017)
"""

_base_ = [
    "../../_base_/models/cascade_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

optim_wrapper = dict(optimizer=dict(lr=0.02))
