"""A network for each stage: Cascade R-CNN, ResNet-50. The authors have no code for it.

Run       tools/dist_train.sh configs/detection/sample_weighting/swn_cascade-rcnn_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  not known: the paper's tables could not be checked; mmdet's model zoo has box AP 40.3 without it
"""

_base_ = [
    "../../_base_/models/cascade_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

heads = {{_base_.model.roi_head.bbox_head}}
model = dict(
    roi_head=dict(bbox_head=[dict(head, type="mmext.SWNShared2FCBBoxHead", swn=dict()) for head in heads])
)

optim_wrapper = dict(optimizer=dict(lr=0.02), clip_grad=dict(max_norm=35, norm_type=2))
