"""Both IoU-balanced losses in SSD512.

Run       tools/dist_train.sh
          configs/detection/iou_balanced/iou-balanced_ssd512_vgg16_8xb8-2x_coco.py 8
Hardware  written for 8 GPUs x 8 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  the paper reports a gain, whose figure we could not check; the baseline is 29.3 in the
          authors' model list and 29.5 in mmdet's today (val2017)
"""

_base_ = [
    "../../_base_/models/ssd512_vgg16.py",
    "../../_base_/datasets/coco_detection_ssd512.py",
    "../../_base_/schedules/sgd_2x.py",
    "../../_base_/runtime.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.IoUBalancedSSDHead",
        # Calibrated at the start of training: the authors left it at 1, which makes the box loss
        # smaller.
        iou_balance=dict(eta=1.5, lam=1.5, w_loc="auto", cls_scope="image"),
    )
)

optim_wrapper = dict(optimizer=dict(lr=2e-3, weight_decay=5e-4))
auto_scale_lr = dict(base_batch_size=64)
