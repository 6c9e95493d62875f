"""Learned weights as the authors train them: Faster R-CNN, ResNet-50, their start, network by Adam.

Run       tools/dist_train.sh
          configs/detection/sample_weighting/swn-adam_faster-rcnn_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  not known: the paper's tables could not be checked; mmdet's model zoo has box AP 37.4
          without it
"""

_base_ = [
    "../../_base_/models/faster_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

model = dict(
    roi_head=dict(bbox_head=dict(type="mmext.SWNShared2FCBBoxHead", swn=dict(init="official")))
)

optim_wrapper = dict(
    optimizer=dict(lr=0.02),
    constructor="mmext.SWNOptimWrapperConstructor",
    paramwise_cfg=dict(swn=dict(type="Adam", lr=1e-3, weight_decay=1e-4)),
    clip_grad=dict(max_norm=35, norm_type=2),
)
