"""The second of four arms: Faster R-CNN, ResNet-50, constant weights as large as learned ones get.

Run       tools/dist_train.sh
          configs/detection/sample_weighting/swn-constant_faster-rcnn_r50_fpn_8xb2-1x_coco.py 8
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

# Put the means that the learned arm logs here (swn_w_*_mean). These come from the closed form,
# lambda over the summed loss of a group, with losses usual in mid-training: 0.11 each for the
# classification of positives and of negatives, 0.27 for boxes.
model = dict(
    roi_head=dict(
        bbox_head=dict(
            type="mmext.SWNShared2FCBBoxHead",
            swn=dict(mode="constant", weights=dict(cls_pos=4.5, cls_neg=4.5, reg=1.9)),
        )
    )
)

optim_wrapper = dict(optimizer=dict(lr=0.02), clip_grad=dict(max_norm=35, norm_type=2))
