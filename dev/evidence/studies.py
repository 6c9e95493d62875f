"""The studies: which arms, on which data, what is measured.

trees              one detector on tree crowns
detection          seven detectors on photographic cut-outs, about two hours
detectors          DetectoRS, its halves and neither in a Faster R-CNN, on the cut-outs, about 70 minutes
sample_weighting   ways to weight the RoIs of a Faster R-CNN, on the cut-outs, about 40 minutes
segmentation       five heads on the cut-outs, about an hour
action             five ways to see camera motion, about half an hour
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mmengine.config import Config

from dev.demo.report import METRICS, SPLITS
from dev.demo.run import CONFIG, VALIDATION

Change = Callable[[Config], None]


def unchanged(cfg: Config) -> None:
    """Leave the config as it is."""


@dataclass(frozen=True)
class Arm:
    """A config and what is changed in it."""

    config: str
    change: Change = unchanged


@dataclass(frozen=True)
class Study:
    """One question: arms that share net and schedule, and what is measured on which images.

    Args:
        arms: by the name that the table shows.
        data: names of tools/data/ that make its images and weights.
        splits: heading of each test.
        metrics: key of each number, by heading.
        redirect: options that make ``tools/test.py`` test another split than the config's.
    """

    arms: Mapping[str, Arm]
    data: tuple[str, ...]
    splits: Mapping[str, str]
    metrics: Mapping[str, str]
    redirect: Mapping[str, list[str]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)


def host_gfl_head(cfg: Config) -> None:
    """Use mmdet's own head and losses."""
    head = cfg.model.bbox_head
    head.pop("avg_factor_floor", None)
    head.type = "mmdet.GFLHead"
    head.loss_cls.type, head.loss_dfl.type = "mmdet.QualityFocalLoss", "mmdet.DistributionFocalLoss"


def without_weights(cfg: Config) -> None:
    """Start the backbone from random weights."""
    cfg.model.backbone.init_cfg = None


def plain_retina(cfg: Config) -> None:
    """Take the balance away."""
    cfg.model.bbox_head.pop("iou_balance")
    cfg.model.bbox_head.type = "mmdet.RetinaHead"


def without(half: str) -> Change:
    """Turn a half of the balance off."""

    def change(cfg: Config) -> None:
        cfg.model.bbox_head.iou_balance[half] = None

    return change


def version_1(cfg: Config) -> None:
    """Use the first version's head."""
    cfg.model.bbox_head.type = "mmext.GFLHead"


def plain_backbone(cfg: Config) -> None:
    """Take the switchable convolutions away."""
    cfg.model.backbone = cfg.model.backbone.backbone


def weighted(**swn: object) -> Change:
    """Weight the RoIs in another way."""

    def change(cfg: Config) -> None:
        cfg.model.roi_head.bbox_head.swn = swn

    return change


def unweighted(cfg: Config) -> None:
    """Leave the box head's losses to mmdet."""
    cfg.model.roi_head.bbox_head.swn = None


OURS = ("bases_update", "renorm_bases", "temperature", "variant", "attn_impl")
"""Arguments of our segmentation heads that mmseg's do not have."""


def host_head(kind: str) -> Change:
    """Put one of mmseg's own heads in place of ours."""

    def change(cfg: Config) -> None:
        head = cfg.model.decode_head
        head.type = kind
        for name in OURS:
            head.pop(name, None)

    return change


def plain_fcn(cfg: Config) -> None:
    """Leave attention out: the same two convolutions and nothing between them."""
    host_head("mmseg.FCNHead")(cfg)
    cfg.model.decode_head.num_convs = 2


def frames_alone(cfg: Config) -> None:
    """Take both branches away: TSN, which sees single frames."""
    cfg.model.backbone.update(use_cstm=False, use_cmm=False)


def frames_shifted(cfg: Config) -> None:
    """Use mmaction2's shift instead of both branches: TSM."""
    cfg.model.backbone.type = "mmaction.ShiftedResNet"
    cfg.custom_imports.imports = ["mmext", "dev.evidence.shifted_resnet"]


def without_branch(name: str) -> Change:
    """Take one branch away."""

    def change(cfg: Config) -> None:
        cfg.model.backbone[name] = False

    return change


RETINA = "configs/detection/iou_balanced/iou-balanced_retinanet_mobilenet-v2_fpn_1xb4-300i_stamps.py"
ATSS = "configs/detection/atss/atss_mobilenet-v2_fpn_1xb4-300i_stamps.py"
GFL_V2 = "configs/detection/gfl/gfl-v2_mobilenet-v2_fpn_1xb4-300i_stamps.py"
DETECTORS = "configs/detection/detecto_rs/{}_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py"
EMA = "configs/segmentation/emanet/emanet_mobilenet-v2_1xb4-600i_stamps.py"
DNL = "configs/segmentation/dnl/dnl_mobilenet-v2_1xb4-600i_stamps.py"
STM = "configs/action/stm/stm_r14_1xb8-800i_motion.py"
SWN = "configs/detection/sample_weighting/swn_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py"
# The means that the learned arm reaches, over one run of seed 3, which the study does not use.
SWN_MEANS = dict(cls_pos=0.7, cls_neg=5.6, reg=2.6)
CUT_OUTS = ("stamps", "mobilenet_v2")
STUDIES = {
    "trees": Study(
        arms={
            "mmext.GFLHead": Arm(CONFIG),
            "mmdet.GFLHead": Arm(CONFIG, host_gfl_head),
            "mmext.GFLHead, no ImageNet weights": Arm(CONFIG, without_weights),
        },
        data=("trees", "mobilenet_v2"),
        splits=SPLITS,
        metrics=METRICS,
        redirect={"val": VALIDATION},
    ),
    "detection": Study(
        arms={
            "RetinaNet, smooth L1": Arm(RETINA, plain_retina),
            "+ IoU-balanced classification": Arm(RETINA, without("lam")),
            "+ IoU-balanced localisation": Arm(RETINA, without("eta")),
            "+ both": Arm(RETINA),
            "ATSS": Arm(ATSS),
            "GFL": Arm(GFL_V2, version_1),
            "GFLv2": Arm(GFL_V2),
        },
        data=CUT_OUTS,
        splits={"test": "validation"},
        metrics={"AP": METRICS["AP"], "AP75": METRICS["AP75"], "AP90": "coco90/bbox_mAP"},
    ),
    "detectors": Study(
        arms={
            "Faster R-CNN": Arm(DETECTORS.format("sac"), plain_backbone),
            "+ RFP": Arm(DETECTORS.format("rfp")),
            "+ SAC": Arm(DETECTORS.format("sac")),
            "+ both": Arm(DETECTORS.format("detectors")),
        },
        data=CUT_OUTS,
        splits={"test": "validation"},
        metrics={"AP": METRICS["AP"], "AP75": METRICS["AP75"], "recall of hidden": "hidden/bbox_AR@100"},
    ),
    "sample_weighting": Study(
        arms={
            "Faster R-CNN": Arm(SWN, unweighted),
            "+ constant weights": Arm(SWN, weighted(mode="constant", weights=SWN_MEANS)),
            "+ closed form": Arm(SWN, weighted(mode="closed_form")),
            "+ learned": Arm(SWN),
        },
        data=CUT_OUTS,
        splits={"test": "validation"},
        metrics={"AP": METRICS["AP"], "AP75": METRICS["AP75"]},
    ),
    "segmentation": Study(
        arms={
            "FCN head": Arm(DNL, plain_fcn),
            "mmseg.EMAHead": Arm(EMA, host_head("mmseg.EMAHead")),
            "mmext.EMAHead": Arm(EMA),
            "mmseg.DNLHead": Arm(DNL, host_head("mmseg.DNLHead")),
            "mmext.DNLHead": Arm(DNL),
        },
        data=CUT_OUTS,
        splits={"test": "validation"},
        metrics={"mIoU": "mIoU"},
    ),
    "action": Study(
        arms={
            "TSN: frames alone": Arm(STM, frames_alone),
            "TSM: fixed shift": Arm(STM, frames_shifted),
            "STM, CSTM only": Arm(STM, without_branch("use_cmm")),
            "STM, CMM only": Arm(STM, without_branch("use_cstm")),
            "STM": Arm(STM),
        },
        data=("camera_motion",),
        splits={"test": "validation"},
        metrics={"top-1": "acc/top1"},
    ),
}
