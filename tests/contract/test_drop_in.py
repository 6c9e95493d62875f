"""mmdet's own shipped configs with the types changed to ours, as the READMEs say, and nothing else.

All build; one of each head takes a step, gives losses in the containers of the host's, predicts,
and loads the host's checkpoint.
"""

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import mmdet
import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from mmext.registry import MODELS as OURS
from mmext.registry import TASK_UTILS as OUR_TASK_UTILS
from tests.contract import detection as host
from tests.contract.parts import built, forget_files

SHIPPED = Path(mmdet.__file__).parent / ".mim" / "configs"
if not SHIPPED.is_dir():
    pytest.skip("this package of mmdet carries no configs", allow_module_level=True)

QFL = dict(type="mmext.QualityFocalLoss")


class Claim(NamedTuple):
    """What a README says: in configs of these folders this type may be changed to that one."""

    ours: str
    theirs: str
    folders: tuple[str, ...]
    step: str  # a config that is stepped
    loss_cls: dict | None = None  # what takes the place of the classification loss
    loads: bool = True  # whether all of the host's checkpoints load


TWO_STAGE = ("faster_rcnn", "mask_rcnn", "cascade_rcnn")
CLAIMS = [
    Claim("GFLHead", "GFLHead", ("gfl",), "gfl_r50_fpn_1x_coco"),
    Claim("GFLv2Head", "GFLHead", ("gfl",), "gfl_r50_fpn_1x_coco", loads=False),
    Claim("QualityFocalLoss", "QualityFocalLoss", ("gfl",), "gfl_r50_fpn_1x_coco"),
    Claim("DistributionFocalLoss", "DistributionFocalLoss", ("gfl",), "gfl_r50_fpn_1x_coco"),
    Claim("ATSSAssigner", "ATSSAssigner", ("atss", "gfl"), "atss_r50_fpn_1x_coco"),
    Claim("QualityATSSHead", "ATSSHead", ("atss",), "atss_r50_fpn_1x_coco", QFL),
    Claim("IoUBalancedATSSHead", "ATSSHead", ("atss",), "atss_r50_fpn_1x_coco"),
    Claim("QualityFCOSHead", "FCOSHead", ("fcos",), "fcos_r50-caffe_fpn_gn-head_1x_coco", QFL),
    Claim(
        "IoUBalancedFCOSHead",
        "FCOSHead",
        ("fcos",),
        "fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco",
    ),
    Claim("QualityRetinaHead", "RetinaHead", ("retinanet",), "retinanet_r50_fpn_1x_coco", QFL),
    Claim("IoUBalancedRetinaHead", "RetinaHead", ("retinanet",), "retinanet_r50_fpn_1x_coco"),
    Claim("IoUBalancedSSDHead", "SSDHead", ("ssd",), "ssdlite_mobilenetv2-scratch_8xb24-600e_coco"),
    Claim(
        "IoUBalancedShared2FCBBoxHead",
        "Shared2FCBBoxHead",
        TWO_STAGE,
        "faster-rcnn_r50_fpn_1x_coco",
    ),
    Claim(
        "IoUBalancedShared2FCBBoxHead",
        "Shared2FCBBoxHead",
        TWO_STAGE,
        "cascade-mask-rcnn_r50_fpn_1x_coco",
    ),
    Claim("SWNShared2FCBBoxHead", "Shared2FCBBoxHead", TWO_STAGE, "mask-rcnn_r50_fpn_1x_coco"),
    Claim("SWNShared2FCBBoxHead", "Shared2FCBBoxHead", TWO_STAGE, "cascade-rcnn_r50_fpn_1x_coco"),
    Claim("SWNRetinaHead", "RetinaHead", ("retinanet",), "retinanet_r50_fpn_1x_coco"),
    Claim("MTNRoIHead", "StandardRoIHead", TWO_STAGE[:2], "faster-rcnn_r50_fpn_1x_coco"),
    Claim("MTNRoIHead", "StandardRoIHead", TWO_STAGE[:2], "mask-rcnn_r50_fpn_1x_coco"),
    Claim("MTNCascadeRoIHead", "CascadeRoIHead", TWO_STAGE[2:], "cascade-rcnn_r50_fpn_1x_coco"),
]
STEPPED = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.ours}-{claim.step}")
BUILT = pytest.mark.parametrize(
    "claim", {claim.ours: claim for claim in CLAIMS}.values(), ids=lambda claim: claim.ours
)


def places(cfg: Any, theirs: str) -> Iterator[ConfigDict]:
    """The parts of a config that are of a type."""
    if isinstance(cfg, dict) and cfg.get("type") == theirs:
        yield cfg
    for value in (
        cfg.values() if isinstance(cfg, dict) else cfg if isinstance(cfg, list | tuple) else ()
    ):
        yield from places(value, theirs)


def change(model: ConfigDict, claim: Claim) -> list[ConfigDict]:
    """Change the types in a model's config; what was changed."""
    found = list(places(model, claim.theirs))
    for place in found:
        place.type = f"mmext.{claim.ours}"
        if claim.loss_cls:
            place.loss_cls = ConfigDict(claim.loss_cls)
    return found


@cache
def shipped(folder: str) -> list[tuple[str, ConfigDict]]:
    """Names and models of a folder's configs differing in more than data, schedule and backbone."""
    found = {}
    for path in sorted((SHIPPED / folder).glob("*.py")):
        model = Config.fromfile(path).get("model")
        if model is None:
            continue  # settings for a tool
        forget_files(model)
        heads = {key: model.get(key) for key in ("bbox_head", "roi_head", "train_cfg", "test_cfg")}
        found.setdefault(json.dumps(heads, default=str, sort_keys=True), (path.stem, model))
    return list(found.values())


@BUILT
def test_every_shipped_config_of_the_model_builds(claim):
    """Heads, losses and assigners alone, without memory; backbones are the hosts'."""
    seen = 0
    registry, ours = (TASK_UTILS, OUR_TASK_UTILS) if "Assigner" in claim.ours else (MODELS, OURS)
    for name, model in [one for folder in claim.folders for one in shipped(folder)]:
        model = copy.deepcopy(model)
        for place in change(model, claim):
            cfg = dict(place)
            if "bbox_head" in model and place is model.bbox_head:
                cfg.update(train_cfg=model.get("train_cfg"), test_cfg=model.get("test_cfg"))
            with DefaultScope.overwrite_default_scope("mmdet"), torch.device("meta"):
                assert type(registry.build(cfg)) is ours.get(claim.ours), name
            seen += 1
    assert seen, f"no config of {claim.folders} has {claim.theirs}"


def shrunk(model: ConfigDict) -> ConfigDict:
    """A narrow backbone and few proposals, neither of which is what is tried here."""
    forget_files(model)
    host.lessen(model)
    if model.backbone.type == "ResNet":
        model.backbone.base_channels = 8
        model.neck.in_channels = [c // 8 for c in model.neck.in_channels]
    return model


def losses_of(model: torch.nn.Module, data: dict) -> dict[str, Any]:
    torch.manual_seed(0)
    return model(**model.data_preprocessor(copy.deepcopy(data), training=True), mode="loss")


@cache
def host_step(step: str, folder: str) -> tuple[dict[str, type], dict]:
    """Containers of the host's losses, and its weights."""
    cfg = Config.fromfile(SHIPPED / folder / f"{step}.py")
    shrunk(cfg.model)
    model = built(cfg, MODELS)
    losses = losses_of(model, data_for(model))
    return {name: type(loss) for name, loss in losses.items()}, model.state_dict()


def data_for(model: torch.nn.Module) -> dict:
    size = host.image_size(model)
    return host.batch(counts=(4, 0), size=size, num_classes=host.num_classes(model))


@STEPPED
def test_it_takes_a_step_and_gives_losses_as_the_host_does(claim):
    folder = next(
        folder for folder in claim.folders if (SHIPPED / folder / f"{claim.step}.py").is_file()
    )
    cfg = Config.fromfile(SHIPPED / folder / f"{claim.step}.py")
    assert change(shrunk(cfg.model), claim)
    model = built(cfg, MODELS)
    containers, weights = host_step(claim.step, folder)
    data = data_for(model)
    losses = losses_of(model, data)
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    for name, loss in losses.items():
        if name in containers:
            assert isinstance(loss, list) == (containers[name] is list), (
                f"{name}: the host has {containers[name]}"
            )
    dropped = {name for name in containers if "loss" in name} - set(losses)
    assert dropped <= {"loss_centerness"}
    assert len(host.predictions(model, copy.deepcopy(data))) == 4  # boxes and scores of two images
    if claim.loads:
        model.load_state_dict(weights, strict=True)


DETECTORS = ("DetectoRS_ResNet", "DetectoRS_ResNeXt", "RFP", "SAC", "ConvAWS")


def changed_detectors(path: Path) -> Config:
    """A config with all DetectoRS types changed at once, since backbone and neck go together."""
    cfg = Config.fromfile(path)
    for theirs in DETECTORS:
        for place in list(places(cfg.model, theirs)):
            place.type = f"mmext.{theirs}"
    forget_files(cfg.model)
    return cfg


@pytest.mark.parametrize(
    "path", sorted((SHIPPED / "detectors").glob("*.py")), ids=lambda path: path.stem
)
def test_every_shipped_config_of_detectors_builds(path):
    cfg = changed_detectors(path)
    with DefaultScope.overwrite_default_scope("mmdet"), torch.device("meta"):
        parts = [MODELS.build(cfg.model[name]) for name in ("backbone", "neck")]
    assert any(type(part).__module__.startswith("mmext.") for part in parts)


def test_detectors_takes_a_step():
    cfg = changed_detectors(SHIPPED / "detectors" / "detectors_cascade-rcnn_r50_1x_coco.py")
    host.lessen(cfg.model)
    for backbone in list(places(cfg.model, "mmext.DetectoRS_ResNet")):
        backbone.base_channels = 8
    cfg.model.neck.in_channels = [c // 8 for c in cfg.model.neck.in_channels]
    model = built(cfg, MODELS)
    data = host.batch(counts=(2,), size=(64, 64), num_classes=80)
    model.parse_losses(losses_of(model, data))[0].backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    assert len(host.predictions(model, data)) == 2
