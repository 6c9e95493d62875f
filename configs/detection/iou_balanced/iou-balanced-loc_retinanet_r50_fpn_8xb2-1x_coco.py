"""The IoU-balanced localisation loss alone in RetinaNet, ResNet-50: an ablation of the paper.

Run       tools/dist_train.sh
          configs/detection/iou_balanced/iou-balanced-loc_retinanet_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  AP 35.2 on val2017, +0.8, AP80 +2.1, AP90 +2.3 (the paper, with images of 1000 x 600; here
          they are 1333 x 800)
"""

_base_ = [
    "../../_base_/models/retinanet_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.IoUBalancedRetinaHead",
        # The authors' baseline; mmdet's today has plain L1. Their w_loc belongs to this loss.
        loss_bbox=dict(_delete_=True, type="SmoothL1Loss", beta=0.11),
        iou_balance=dict(eta=None, lam=1.5, w_loc=3.049),
    ),
)

optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
