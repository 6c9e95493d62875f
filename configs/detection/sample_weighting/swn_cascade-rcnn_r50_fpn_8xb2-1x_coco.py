"""A network for each stage: Cascade R-CNN, ResNet-50. The authors have no code for it.

Run       tools/dist_train.sh
          configs/detection/sample_weighting/swn_cascade-rcnn_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  not known: the paper's tables could not be checked; mmdet's model zoo has box AP 40.3
          without it
"""

_base_ = [
    "../../_base_/models/cascade_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]


def _head(centre, size):
    """A stage's head as in the base, whose boxes deviate by so much."""
    return dict(
        type="mmext.SWNShared2FCBBoxHead",
        in_channels=256,
        fc_out_channels=1024,
        roi_feat_size=7,
        num_classes=80,
        bbox_coder=dict(
            type="DeltaXYWHBBoxCoder",
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[centre, centre, size, size],
        ),
        reg_class_agnostic=True,
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0),
        swn=dict(),
    )


model = dict(roi_head=dict(bbox_head=[_head(0.1, 0.2), _head(0.05, 0.1), _head(0.033, 0.067)]))

optim_wrapper = dict(optimizer=dict(lr=0.02), clip_grad=dict(max_norm=35, norm_type=2))
