"""The authors' strongest setting: Mask R-CNN, ResNeXt-101-32x4d, narrower clamp, smaller lambdas.

Run       tools/dist_train.sh
          configs/detection/sample_weighting/swn_mask-rcnn_x101-32x4d_fpn_4xb2-1x_coco.py 4
Hardware  written for 4 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  not known: the paper's tables could not be checked
"""

_base_ = [
    "../../_base_/models/mask_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_instance.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

# The authors' files call this net R101.
model = dict(
    backbone=dict(
        type="ResNeXt",
        depth=101,
        groups=32,
        base_width=4,
        init_cfg=dict(checkpoint="open-mmlab://resnext101_32x4d"),
    ),
    roi_head=dict(
        type="mmext.SWNStandardRoIHead",
        bbox_head=dict(
            type="mmext.SWNShared2FCBBoxHead",
            swn=dict(clamp=(-1, 1), lambdas=dict(cls_pos=0.25, cls_neg=0.25, reg=0.35, mask=0.35)),
        ),
    ),
)

optim_wrapper = dict(optimizer=dict(lr=0.01), clip_grad=dict(max_norm=35, norm_type=2))
auto_scale_lr = dict(base_batch_size=8)
