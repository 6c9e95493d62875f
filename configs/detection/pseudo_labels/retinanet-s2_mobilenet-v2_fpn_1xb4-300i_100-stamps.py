"""RetinaNet on 100 labelled pictures of cut-outs, AutoAugment's policy v0 for detection (S2).

What the policy has from here: "mmext.TranslatePixels", "mmext.TranslateOnlyBoxes",
"mmext.CutoutPixels", "mmext.ShearFactor" and "mmext.ColorFactor"; the rest is mmdet's.

Run       mmext data stamps && mmext data mobilenet_v2 && python tools/train.py
          configs/detection/pseudo_labels/retinanet-s2_mobilenet-v2_fpn_1xb4-300i_100-stamps.py
Hardware  two CPU cores
Expected  not measured
"""

_base_ = [
    "../../_base_/models/retinanet_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

from mmext.self_training.pseudo_labels.policy import augmentation

model = dict(bbox_head=dict(num_classes=6))

train_dataloader = dict(
    dataset=dict(
        indices=100,
        pipeline=[
            *_base_.train_pipeline[:2],
            # The policy's pixels are meant for 640 x 480.
            *augmentation(2, "detection", 320, pixel_scale=0.5),
            _base_.train_pipeline[-1],
        ],
    )
)
