"""The studies: what is asked of each paper, on which data, with which arms, seeds, deciding number.

A study that has a result is never changed: another choice is another study, under another name.
Until then designs are chosen on the development split (make evidence STUDY=… ARGS=--develop).
CONTRIBUTING.md says how a study is designed, docs/evidence/README.md has what came out. Those of
classifiers are in studies_classification.py.
"""

from dev.evidence.changes import (
    all_of,
    frames_alone,
    frames_shifted,
    frozen,
    iterations,
    like_base,
    near,
    on_held_out_photographs,
    plain_backbone,
    plain_fcn,
    plain_retina,
    quality_labels,
    six_classes,
    unweighted,
    version_2,
    weighted,
    with_data,
    without_branch,
    without_half,
)
from dev.evidence.studies_classification import CLASSIFICATION
from dev.evidence.study import Arm, Measure, Study

RETINA = (
    "configs/detection/iou_balanced/"
    "iou-balanced_retinanet_mobilenet-v2_fpn_1xb8-400i_stamps-one-class.py"
)
GFL = "configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb8-800i_stamps-one-class.py"
TREES = "configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees.py"
DETECTORS = "configs/detection/detecto_rs/{}_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py"
SWN = "configs/detection/sample_weighting/swn_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py"
DNL = "configs/segmentation/dnl/dnl_mobilenet-v2_1xb4-500i_context.py"
EMA = "configs/segmentation/emanet/emanet_mobilenet-v2_1xb4-500i_context.py"
STM = "configs/action/stm/stm_r14_1xb8-800i_motion.py"

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
FROM_FCN = {
    r"^decode_head\.convs\.0\.": "decode_head.ema_in_conv.",
    r"^decode_head\.convs\.1\.": "decode_head.bottleneck.",
}
"""EMANet's head calls the two convolutions of the plain head otherwise."""

with_one_class = with_data("stamps_one_class_detection", num_classes=1)
two_stage = all_of(with_one_class, iterations(600))
plateau = all_of(with_one_class, iterations(800), frozen)
trees = all_of(iterations(400), frozen)
atss = like_base("atss_mobilenet-v2_fpn", num_classes=1)
# What learning reaches over one run on the six-class cut-outs; seeds of the study had no part in
# it.
SWN_MEANS = dict(cls_pos=0.7, cls_neg=5.6, reg=2.6)

CONTEXT_TESTS = {
    "test": (),
    "context": ("test_dataloader.dataset.data_prefix.seg_map_path=context/{split}",),
}
CONTEXT = {
    "context pixels": Measure("aAcc", test="context", scale=0.01),
    "mIoU": Measure("mIoU", scale=0.01),
}
FAR = "context scenes, far"
NEAR = "context scenes, near"
SIX = "six-class cut-outs"
BUILT = "anything about natural scenes: the task is built for it"

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
    "dnl_far": Study(
        question=(
            "Does disentangled attention carry what stands far away to where it decides the class?"
        ),
        data_name=FAR,
        limits=BUILT,
        arms={"FCN": Arm(DNL, plain_fcn), "DNL": Arm(DNL)},
        baseline="FCN",
        claim="DNL",
        primary="context pixels",
        measures=CONTEXT,
        tests=CONTEXT_TESTS,
        data=("context", "mobilenet_v2"),
        aliases=FROM_FCN,  # for no arm here: so that ema_far finds the runs of FCN
    ),
    "ema_far": Study(
        question=(
            "Does attention through few bases carry what stands far away to where it decides the "
            "class?"
        ),
        data_name=FAR,
        limits=BUILT,
        arms={"FCN": Arm(DNL, plain_fcn), "EMANet": Arm(EMA)},
        baseline="FCN",
        claim="EMANet",
        primary="context pixels",
        measures=CONTEXT,
        tests=CONTEXT_TESTS,
        data=("context", "mobilenet_v2"),
        seeds=tuple(range(16)),
        aliases=FROM_FCN,
    ),
    "attention_near": Study(
        question="The same as dnl_far and ema_far where what decides is near.",
        data_name=NEAR,
        limits=BUILT,
        arms={
            "FCN": Arm(DNL, all_of(near, plain_fcn)),
            "DNL": Arm(DNL, near),
            "EMANet": Arm(EMA, near),
        },
        baseline="FCN",
        claim="DNL",
        primary="context pixels",
        measures=CONTEXT,
        tests=CONTEXT_TESTS,
        data=("context", "mobilenet_v2"),
        aliases=FROM_FCN,
    ),
    "attention_plain": Study(
        question="The plain task beside dnl_far and ema_far: what an object looks like decides.",
        data_name=SIX,
        limits="anything about natural scenes or deep features",
        arms={
            "FCN": Arm(DNL, all_of(six_classes, plain_fcn)),
            "DNL": Arm(DNL, six_classes),
            "EMANet": Arm(EMA, six_classes),
        },
        baseline="FCN",
        claim="DNL",
        primary="mIoU",
        measures={"mIoU": CONTEXT["mIoU"]},
        data=ONE_CLASS_DATA,
        aliases=FROM_FCN,
    ),
    "stm": Study(
        question="Do learned shifts and motion see camera motion better than a fixed shift?",
        data_name="camera motion, five unseen photographs",
        limits="anything about human action, Kinetics or large nets",
        arms={
            "TSN: frames alone": Arm(STM, all_of(on_held_out_photographs, frames_alone)),
            "TSM: fixed shift": Arm(STM, all_of(on_held_out_photographs, frames_shifted)),
            "STM, CSTM only": Arm(STM, all_of(on_held_out_photographs, without_branch("use_cmm"))),
            "STM, CMM only": Arm(STM, all_of(on_held_out_photographs, without_branch("use_cstm"))),
            "STM": Arm(STM, on_held_out_photographs),
        },
        baseline="TSM: fixed shift",
        claim="STM",
        primary="top-1",
        measures={"top-1": Measure("acc/top1")},
        data=("camera_motion",),
        pairs=(("TSM: fixed shift", "TSN: frames alone"),),
        start="TSN: frames alone",
        aliases={r"(layer\d+\.\d+\.conv1\.conv)\.weight$": r"\1.net.weight"},
    ),
} | CLASSIFICATION
