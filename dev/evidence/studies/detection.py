"""Detectors: better boxes, losses that weight them, backbones that look twice."""

from dev.evidence.changes import (
    all_of,
    frozen,
    iterations,
    like_base,
    plain_backbone,
    plain_retina,
    quality_labels,
    unweighted,
    version_2,
    weighted,
    with_data,
    without_half,
)
from dev.evidence.study import Arm, Measure, Study

RETINA = (
    "configs/detection/iou_balanced/"
    "iou-balanced_retinanet_mobilenet-v2_fpn_1xb8-400i_stamps-one-class.py"
)
GFL = "configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb8-800i_stamps-one-class.py"
TREES = "configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees.py"
DETECTORS = "configs/detection/detecto_rs/{}_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py"
SWN = "configs/detection/sample_weighting/swn_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py"

ONE_CLASS_DATA = ("stamps --one-class", "mobilenet_v2")
ONE_CLASS = "one-class cut-outs"
NOTHING_NATURAL = "anything about natural scenes, COCO or large nets"
BOXES = {
    "AP": Measure("coco/bbox_mAP", nothing_found=0.0),
    "AP75": Measure("coco/bbox_mAP_75", nothing_found=0.0),
    "AP50": Measure("coco/bbox_mAP_50", nothing_found=0.0),
}
AP90 = {"AP90": Measure("coco90/bbox_mAP", nothing_found=0.0)}

TO_GFL = {r"^bbox_head\.atss_cls\.": "bbox_head.gfl_cls."}
"""The classifiers of ATSS and GFL are of one shape and drawn alike; their box layers are not."""

with_one_class = with_data("stamps_one_class_detection", num_classes=1)
two_stage = all_of(with_one_class, iterations(600))
plateau = all_of(with_one_class, iterations(800), frozen)
trees = all_of(iterations(400), frozen)
atss = like_base("atss_mobilenet-v2_fpn", num_classes=1)
# What learning reaches over one run on the six-class cut-outs; seeds of the study had no part in
# it.
SWN_MEANS = dict(cls_pos=0.7, cls_neg=5.6, reg=2.6)

STUDIES = {
    "iou_balanced": Study(
        question=(
            "Do IoU-balanced losses make RetinaNet's boxes more precise, and which half does it?"
        ),
        data_name=ONE_CLASS,
        limits=NOTHING_NATURAL,
        arms={
            "RetinaNet, smooth L1": Arm(RETINA, plain_retina),
            "+ balanced classification": Arm(RETINA, without_half("lam")),
            "+ balanced localisation": Arm(RETINA, without_half("eta")),
            "+ both": Arm(RETINA),
        },
        baseline="RetinaNet, smooth L1",
        claim="+ both",
        primary="AP75",
        measures=BOXES | AP90,
        data=ONE_CLASS_DATA,
    ),
    "gfl": Study(
        question=(
            "Does GFL find better boxes than ATSS, and what do quality labels alone bring? "
            "Distributions alone cannot be expressed: every head that has them has quality labels."
        ),
        data_name=ONE_CLASS,
        limits=NOTHING_NATURAL,
        arms={
            "ATSS": Arm(GFL, atss),
            "+ QFL": Arm(GFL, all_of(atss, quality_labels)),
            "GFL (QFL and DFL)": Arm(GFL),
            "GFLv2": Arm(GFL, version_2),
        },
        baseline="ATSS",
        claim="GFL (QFL and DFL)",
        primary="AP",
        measures=BOXES | AP90,
        data=ONE_CLASS_DATA,
        pairs=(("GFL (QFL and DFL)", "+ QFL"), ("GFLv2", "GFL (QFL and DFL)")),
        aliases=TO_GFL,
    ),
    "gfl_trees": Study(
        question=(
            "The same as gfl on the natural task beside it: photographs with boxes that people "
            "drew."
        ),
        data_name="tree crowns, two unseen sites",
        limits="more than 98 boxes on two photographs can",
        arms={
            "ATSS": Arm(TREES, all_of(trees, atss)),
            "+ QFL": Arm(TREES, all_of(trees, atss, quality_labels)),
            "GFL (QFL and DFL)": Arm(TREES, trees),
            "GFLv2": Arm(TREES, all_of(trees, version_2)),
        },
        baseline="ATSS",
        claim="GFL (QFL and DFL)",
        primary="AP",
        measures=BOXES,
        data=("trees", "mobilenet_v2"),
        pairs=(("GFL (QFL and DFL)", "+ QFL"), ("GFLv2", "GFL (QFL and DFL)")),
        aliases=TO_GFL,
    ),
    "detecto_rs": Study(
        question=(
            "Does a detector that looks twice, with switchable convolutions, find better boxes?"
        ),
        data_name=ONE_CLASS,
        limits="anything about long training or natural scenes; both halves add weights",
        arms={
            "Faster R-CNN": Arm(DETECTORS.format("sac"), all_of(plain_backbone, two_stage)),
            "+ RFP": Arm(DETECTORS.format("rfp"), two_stage),
            "+ SAC": Arm(DETECTORS.format("sac"), two_stage),
            "+ both": Arm(DETECTORS.format("detectors"), two_stage),
        },
        baseline="Faster R-CNN",
        claim="+ both",
        primary="AP",
        measures=BOXES | {"recall of hidden": Measure("hidden/bbox_AR@100", nothing_found=0.0)},
        data=ONE_CLASS_DATA,
        seeds=tuple(range(6)),
    ),
    "swn_plateau": Study(
        question=(
            "Do learned sample weights beat a plain Faster R-CNN, constant weights and the closed "
            "form?"
        ),
        data_name=ONE_CLASS,
        limits=NOTHING_NATURAL,
        arms={
            "Faster R-CNN": Arm(SWN, all_of(plateau, unweighted)),
            "+ constant weights": Arm(
                SWN, all_of(plateau, weighted(mode="constant", weights=SWN_MEANS))
            ),
            "+ closed form": Arm(SWN, all_of(plateau, weighted(mode="closed_form"))),
            "+ learned": Arm(SWN, plateau),
        },
        baseline="Faster R-CNN",
        claim="+ learned",
        primary="AP",
        measures=BOXES,
        data=ONE_CLASS_DATA,
        pairs=(("+ learned", "+ constant weights"), ("+ learned", "+ closed form")),
    ),
}
