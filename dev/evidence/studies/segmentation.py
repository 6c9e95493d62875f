"""Segmentors: attention that carries context."""

from dev.evidence.changes import all_of, near, plain_fcn, six_classes
from dev.evidence.study import Arm, Measure, Study

DNL = "configs/segmentation/dnl/dnl_mobilenet-v2_1xb4-500i_context.py"
EMA = "configs/segmentation/emanet/emanet_mobilenet-v2_1xb4-500i_context.py"

ONE_CLASS_DATA = ("stamps --one-class", "mobilenet_v2")
FROM_FCN = {
    r"^decode_head\.convs\.0\.": "decode_head.ema_in_conv.",
    r"^decode_head\.convs\.1\.": "decode_head.bottleneck.",
}
"""EMANet's head calls the two convolutions of the plain head otherwise."""

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
}
