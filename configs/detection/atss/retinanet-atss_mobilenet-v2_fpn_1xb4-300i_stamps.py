"""ATSS in mmdet's plain RetinaHead, nine anchors a place, which mmdet's own assigner cannot serve.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py &&
          python tools/train.py
          configs/detection/atss/retinanet-atss_mobilenet-v2_fpn_1xb4-300i_stamps.py
Hardware  two CPU cores, minutes
Expected  trains; AP not measured yet
"""

_base_ = [
    "../../_base_/models/retinanet_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    bbox_head=dict(num_classes=6),
    train_cfg=dict(
        assigner=dict(
            _delete_=True,
            type="mmext.ATSSAssigner",
            topk=9,  # places; all nine anchors of a place are candidates
            # This head does not say how many anchors each level has; their sizes do.
            prior_generator={{_base_.model.bbox_head.anchor_generator}},
        )
    ),
)
