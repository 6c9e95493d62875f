"""GFL version 2, ResNet-50, 1x: the fair comparison with version 1.

Run       tools/dist_train.sh configs/detection/gfl/gfl-v2_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  AP 41.0 on COCO minival, 41.1 on test-dev (the authors' README).
          Version 1 in the same setting: 40.2 and 40.3. They call 1x noisy.
"""

_base_ = [
    "../../_base_/models/gfl_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.GFLv2Head",
        loss_cls=dict(type="mmext.QualityFocalLoss"),
        loss_dfl=dict(type="mmext.DistributionFocalLoss"),
    ),
)
