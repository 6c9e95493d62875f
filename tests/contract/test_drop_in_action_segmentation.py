"""The hosts' own shipped configs with the type alone changed: they build; some take a step."""

from pathlib import Path

import mmaction
import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from mmext.registry import MODELS
from tests.contract import action, segmentation
from tests.contract.parts import built, forget_files

SHIPPED = {
    "action": Path(mmaction.__file__).parent / ".mim/configs/recognition",
    "segmentation": Path(mmseg.__file__).parent / ".mim/configs",
}
if not all(folder.is_dir() for folder in SHIPPED.values()):
    pytest.skip("these packages of the hosts carry no configs", allow_module_level=True)

CHANGES = {  # ours: the host's type, where its configs lie, how many there are of them
    "ResNetSTM": ("ResNetTSM", "action", "tsm/tsm_*r50*.py", 9),
    "ResNetTSMDNL": ("ResNetTSM", "action", "tsm/tsm_*r50*.py", 9),
    "ResNet3dSlowOnlyDNL": ("ResNet3dSlowOnly", "action", "slowonly/slowonly_*.py", 11),
    "EMAHead": ("EMAHead", "segmentation", "emanet/*.py", 4),
    "DNLHead": ("DNLHead", "segmentation", "dnlnet/*.py", 12),
}
HOSTS = {"action": action, "segmentation": segmentation}


def configs(ours):
    _, task, pattern, _ = CHANGES[ours]
    return sorted(SHIPPED[task].glob(pattern))


def changed(path, ours):
    """The config with one word changed, and the changed part."""
    theirs, task, _, _ = CHANGES[ours]
    cfg = Config.fromfile(path)
    place = cfg.model.backbone if task == "action" else cfg.model.decode_head
    assert place.type == theirs
    place.type = f"mmext.{ours}"
    return cfg, place


@pytest.mark.parametrize("ours", CHANGES)
def test_there_are_as_many_recipes_as_the_host_ships(ours):
    assert len(configs(ours)) == CHANGES[ours][-1]


@pytest.mark.parametrize(
    ("ours", "path"),
    [(ours, path) for ours in CHANGES for path in configs(ours)],
    ids=lambda x: str(x)[-60:],
)
def test_it_builds(ours, path):
    cfg, place = changed(path, ours)
    forget_files(cfg.model)
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device("meta"):
        part = MODELS.build(place)
    assert type(part).__name__ == ours
    assert isinstance(part, nn.Module)


# Of the recipes the one that asks for most.
STEPS = {
    "ResNetSTM": "nl-embedded",
    "ResNetTSMDNL": "nl-gaussian",
    "ResNet3dSlowOnlyDNL": "nl-embedded",
    "EMAHead": "r50",
    "DNLHead": "r50",
}


@pytest.mark.parametrize("ours", CHANGES)
def test_it_takes_a_step(ours):
    path = next(path for path in configs(ours) if STEPS[ours] in path.name)
    cfg, _ = changed(path, ours)
    host = HOSTS[CHANGES[ours][1]]
    if cfg.model.data_preprocessor.pop("size", None):
        cfg.model.data_preprocessor.size_divisor = 32
    model = built(cfg, MODELS)
    size = (8, 32, 32) if host is action else (33, 48)
    host.loss(model, host.batch(counts=(1, 1), size=size)).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
