"""Learned weights of classes, boxes and masks: Mask R-CNN, ResNet-50.

Run       tools/dist_train.sh
          configs/detection/sample_weighting/swn_mask-rcnn_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  not known: the paper's tables could not be checked;
          mmdet's model zoo has box AP 38.2, mask AP 34.7 without it
"""

_base_ = [
    "../../_base_/models/mask_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_instance.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

model = dict(
    roi_head=dict(
        type="mmext.SWNStandardRoIHead",
        bbox_head=dict(type="mmext.SWNShared2FCBBoxHead", swn=dict()),
    ),
)

optim_wrapper = dict(optimizer=dict(lr=0.02), clip_grad=dict(max_norm=35, norm_type=2))
