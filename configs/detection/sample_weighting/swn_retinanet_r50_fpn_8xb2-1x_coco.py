"""Learned weights in a one-stage detector: RetinaNet, ResNet-50.

Run       tools/dist_train.sh
          configs/detection/sample_weighting/swn_retinanet_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  not known: the paper's tables could not be checked; mmdet's model zoo has box AP 36.5
          without it
"""

_base_ = [
    "../../_base_/models/retinanet_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

model = dict(bbox_head=dict(type="mmext.SWNRetinaHead", swn=dict()))

optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
