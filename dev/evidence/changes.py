"""What arms change in a config, as functions of the config; each says one thing."""

import copy
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config, ConfigDict

from dev.evidence.study import ROOT, Change

BASE = str(ROOT / "configs/_base_/{}.py")
DATA_KEYS = (
    *(
        f"{split}_{part}"
        for split in ("train", "val", "test")
        for part in ("dataloader", "evaluator")
    ),
    "data_command",
    "data_root",
    "metainfo",
    "dataset_type",
)


def all_of(*changes: Change) -> Change:
    """One change after the other."""

    def change(cfg: Config) -> None:
        for one in changes:
            one(cfg)

    return change


def parts(node: Any) -> Iterator[ConfigDict]:
    """Every dict inside a config."""
    if isinstance(node, dict):
        yield node
    for value in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    ):
        yield from parts(value)


def with_data(name: str, num_classes: int) -> Change:
    """Train, develop, test on another data set of configs/_base_/datasets, with so many classes."""

    def change(cfg: Config) -> None:
        data = Config.fromfile(BASE.format(f"datasets/{name}"))
        for key in DATA_KEYS:
            if key in data:
                cfg[key] = data[key]
        for part in parts(cfg.model):
            if "num_classes" in part:
                part.num_classes = num_classes

    return change


def iterations(number: int, *, warm_up: int = 20, lr: float | None = None) -> Change:
    """Train for so many iterations: warm-up, then cosine to zero."""

    def change(cfg: Config) -> None:
        cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = number
        cfg.param_scheduler = [
            dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
            dict(
                type="CosineAnnealingLR",
                by_epoch=False,
                begin=warm_up,
                end=number,
                T_max=number - warm_up,
            ),
        ]
        if lr is not None:
            cfg.optim_wrapper.optimizer.lr = lr

    return change


def frozen(cfg: Config) -> None:
    """Leave the pretrained features of mmdet's MobileNetV2 as they are."""
    cfg.model.backbone.update(out_indices=(2, 4, 6), frozen_stages=7)
    cfg.model.neck.in_channels = [32, 96, 320]
    cfg.find_unused_parameters = True


def like_base(name: str, *, num_classes: int) -> Change:
    """Take detector and head of a base model; leave backbone, neck, assigner and widths."""

    def change(cfg: Config) -> None:
        model, own = Config.fromfile(BASE.format(f"models/{name}")).model, cfg.model.bbox_head
        cfg.model.type, cfg.model.bbox_head = model.type, model.bbox_head
        cfg.model.bbox_head.update(
            num_classes=num_classes, in_channels=own.in_channels, feat_channels=own.feat_channels
        )

    return change


# IoU-balanced losses


def plain_retina(cfg: Config) -> None:
    """Take the balance away."""
    cfg.model.bbox_head.pop("iou_balance")
    cfg.model.bbox_head.type = "mmdet.RetinaHead"


def without_half(half: str) -> Change:
    """Turn a half of the balance off."""

    def change(cfg: Config) -> None:
        cfg.model.bbox_head.iou_balance[half] = None

    return change


# Generalized Focal Loss


def quality_labels(cfg: Config) -> None:
    """Give ATSS's head quality labels instead of its centerness."""
    cfg.model.bbox_head.type = "mmext.QualityATSSHead"
    cfg.model.bbox_head.loss_cls = dict(type="mmext.QualityFocalLoss")


def version_2(cfg: Config) -> None:
    """Use GFL's second version."""
    cfg.model.bbox_head.type = "mmext.GFLv2Head"


# DetectoRS and sample weighting


def plain_backbone(cfg: Config) -> None:
    """Take the switchable convolutions away."""
    cfg.model.backbone = cfg.model.backbone.backbone


def weighted(**swn: object) -> Change:
    """Weight the RoIs in another way."""

    def change(cfg: Config) -> None:
        cfg.model.roi_head.bbox_head.swn = copy.deepcopy(swn)

    return change


def unweighted(cfg: Config) -> None:
    """Leave the box head's losses to mmdet."""
    cfg.model.roi_head.bbox_head.swn = None


# Attention in segmentation

OURS = ("bases_update", "renorm_bases", "temperature", "variant", "attn_impl")
"""Arguments of our segmentation heads that mmseg's do not have."""
EMA_ONLY = ("ema_channels", "num_bases", "num_stages")


def plain_fcn(cfg: Config) -> None:
    """Leave attention out: the same two convolutions and nothing between them."""
    head = cfg.model.decode_head
    head.type, head.num_convs = "mmseg.FCNHead", 2
    for name in (*OURS, *EMA_ONLY):
        head.pop(name, None)


def near(cfg: Config) -> None:
    """Take the scenes whose key is near."""
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = "data/context/near/"
    cfg.data_root = "data/context/near/"


def six_classes(cfg: Config) -> None:
    """Take the plain task: seven classes, each told by what an object looks like."""
    with_data("stamps_one_class_segmentation", num_classes=7)(cfg)
    cfg.model.decode_head.loss_decode.class_weight = [0.1, *[1.0] * 6]


# Wrong labels


def all_labels(cfg: Config) -> None:
    """Train on all samples, the doubted ones too."""
    cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.dataset


def doubt_at_random(cfg: Config) -> None:
    """Leave out as many samples as the clean list does, but any."""
    cfg.train_dataloader.dataset.keep = "data/clean_labels/fashion-mnist-random.txt"


# Action recognition


def on_held_out_photographs(cfg: Config) -> None:
    """Train on clips of ten photographs, test on those of five that no design was chosen by."""
    cfg.train_dataloader.dataset.ann_file = "annotations/fit.txt"
    # Developed as it is tested: several samplings in time.
    pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.val_dataloader.dataset.pipeline = copy.deepcopy(pipeline)
    cfg.test_dataloader.dataset.update(
        ann_file="annotations/test.txt", data_prefix=dict(img="train")
    )


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


# Residual labels


def cross_entropy(**options: float) -> Change:
    """Take cross-entropy, perhaps with its options, and no report of a matrix that is not there."""

    def change(cfg: Config) -> None:
        cfg.model.head.loss = dict(type="mmext.CrossEntropyLoss", **options)
        cfg.custom_hooks = []

    return change


def residual(name: str, **options: str) -> Change:
    """Take a residual loss at the weight that the config's own loss has."""

    def change(cfg: Config) -> None:
        alpha = cfg.model.head.loss.get("alpha", 0.3)
        classes = cfg.model.head.loss.num_classes
        cfg.model.head.loss = dict(
            type=f"mmext.{name}", num_classes=classes, alpha=alpha, **options
        )
        cfg.custom_hooks = []

    return change


# Averaged weights


def last_iterate(cfg: Config) -> None:
    """Test the net as training leaves it."""
    cfg.custom_hooks = []


def parameters_alone(cfg: Config) -> None:
    """Take the statistics of norms from the net as training leaves it, as mmengine does itself."""
    cfg.custom_hooks[0].update_buffers = False


def rate_to_zero(cfg: Config) -> None:
    """Do by the rate what the average does: let it fall to zero, and test the net itself."""
    last_iterate(cfg)
    cfg.param_scheduler = [
        dict(type="CosineAnnealingLR", by_epoch=False, T_max=cfg.train_cfg.max_iters)
    ]


# FastPose


def mouse_in_three(cfg: Config) -> None:
    """Train on 50 frames, choose on 20 and judge on 20 others."""
    cfg.train_dataloader.dataset.ann_file = "annotations/hidden_50.json"
    for split, file in (("val", "labeled_20"), ("test", "test_20")):
        cfg[f"{split}_dataloader"] = copy.deepcopy(cfg.val_dataloader)
        cfg[f"{split}_dataloader"].dataset.ann_file = f"annotations/{file}.json"
        cfg[f"{split}_evaluator"] = copy.deepcopy(cfg.val_evaluator)
        for judge in cfg[f"{split}_evaluator"]:
            judge.ann_file = f"{cfg.data_root}annotations/{file}.json"


def mean_pose(cfg: Config) -> None:
    """Learn where points lie in a box, and look at no feature of it."""
    head = cfg.model.roi_head.keypoint_head
    cfg.model.roi_head.keypoint_head = dict(
        type="mmdet.MeanPoseHead", num_keypoints=head.num_keypoints
    )
    cfg.custom_imports.imports = ["mmext", "dev.evidence.pose_nets"]


def two_nets(cfg: Config) -> None:
    """Give the points a backbone and a neck of their own."""
    cfg.model.type = "mmdet.TwoNets"
    cfg.model.rpn_head.type = "mmdet.FirstLevelsRPNHead"
    cfg.model.roi_head.keypoint_roi_extractor.type = "mmdet.LastLevelsRoIExtractor"
    cfg.custom_imports.imports = ["mmext", "dev.evidence.pose_nets"]


def without_ranges(cfg: Config) -> None:
    """Let each scale learn, and find, objects of all sizes."""
    data = cfg.train_dataloader.dataset
    data.pipeline = [step for step in data.pipeline if step.type != "mmext.ScaleValidRange"]
    cfg.tta_model.ranges = [(0, None)] * len(cfg.tta_model.ranges)


def one_scale(cfg: Config) -> None:
    """Train and test at the one size that pictures have, without ranges.

    A scale is drawn all the same, out of equal ones, so that what is drawn after it, such as
    whether a picture is turned, stays as it is in the other arms.
    """
    without_ranges(cfg)
    size = (320, 320)
    (draw,) = [
        step for step in cfg.train_dataloader.dataset.pipeline if step.type == "RandomChoiceResize"
    ]
    draw.scales = [size] * len(draw.scales)
    cfg.tta_model.ranges = [(0, None)]
    views = cfg.tta_pipeline[1].transforms
    views[0] = [dict(views[0][0], scale=size)]
