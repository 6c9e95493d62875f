"""GFL finds tree crowns: real photographs, a real detector, minutes on a CPU.

Run       make demo, or its parts: python tools/data/trees.py &&
          python tools/data/mobilenet_v2.py &&
          python tools/train.py configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees.py
Hardware  two CPU cores, 3 to 16 minutes
Expected  AP50 on validation in the interval that the README states and ``make demo`` prints, from
          runs that differ in seed and threads alone (docs/evidence/demo.json)
"""

_base_ = [
    "../../_base_/models/gfl_mobilenet-v2_fpn.py",
    "../../_base_/datasets/trees_detection.py",
    "../../_base_/schedules/adamw_400i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    bbox_head=dict(
        type="mmext.GFLHead",
        num_classes=1,
        avg_factor_floor="paper",  # also what makes several ranks equal one
        loss_cls=dict(type="mmext.QualityFocalLoss"),
        loss_dfl=dict(type="mmext.DistributionFocalLoss"),
    )
)

# At the head's rate a short training spoils what ImageNet taught the backbone; not moving it at all
# finds fewer crowns.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=0.3)}))

# tools/test.py --tta: each image is seen four times. What one turned copy misses another one finds,
# and runs differ less from each other.
tta_model = dict(
    type="DetTTAModel",
    tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=100),
)
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="Resize", scale=(400, 400), keep_ratio=True)],
            [
                dict(type="RandomFlip", prob=0.0),
                dict(type="RandomFlip", prob=1.0, direction="horizontal"),
                dict(type="RandomFlip", prob=1.0, direction="vertical"),
                dict(type="RandomFlip", prob=1.0, direction="diagonal"),
            ],
            [dict(type="LoadAnnotations", with_bbox=True)],
            [
                dict(
                    type="PackDetInputs",
                    meta_keys=(
                        *("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
                        *("flip", "flip_direction"),
                    ),
                )
            ],
        ],
    ),
]
