"""timm's nets as backbones: what timm is asked for, and the sentence where it is missing."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from mmext.classification.stack.timm_backbone import TimmBackbone
from mmext.errors import BadInputError
from tests.contract.parts import ROOT

CONFIG = ROOT / "configs/_base_/models/timm_classifier.py"


class Maps(nn.Module):
    """A net of two maps, as timm's ``features_only`` gives them, with a start of its own."""

    feature_info = SimpleNamespace(channels=lambda: [4, 8])

    def __init__(self, channels):
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, 8, 1, 2)

    def init_weights(self):
        raise AssertionError("timm's weights are drawn anew")

    def forward(self, x):
        first = self.first(x)
        return [first, self.second(first)]


@pytest.fixture
def asked(monkeypatch):
    """What a stand-in for timm was asked for."""
    found = {}

    def create_model(name, **options):
        found.update(options, name=name)
        return Maps(options["in_chans"])

    module = ModuleType("timm")
    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)
    return found


def test_timm_is_asked_for_maps(asked):
    net = TimmBackbone("tiny", out_indices=[2, 3], in_channels=1, drop_path_rate=0.1)
    assert asked == dict(
        name="tiny",
        features_only=True,
        pretrained=False,
        in_chans=1,
        out_indices=(2, 3),
        drop_path_rate=0.1,
    )
    assert net.out_channels == [4, 8]
    before = net.net.first.weight.clone()
    net.init_weights()
    assert torch.equal(net.net.first.weight, before)
    maps = net(torch.zeros(2, 1, 6, 4))
    assert isinstance(maps, tuple)
    assert [tuple(one.shape) for one in maps] == [(2, 4, 6, 4), (2, 8, 3, 2)]


def test_init_cfg_takes_the_place_of_timm_s_weights(asked, tmp_path):
    other = {f"net.{name}": one + 1 for name, one in Maps(3).state_dict().items()}
    torch.save(other, tmp_path / "mine.pth")
    start = dict(type="Pretrained", checkpoint=str(tmp_path / "mine.pth"))
    net = TimmBackbone(init_cfg=start)
    net.net.init_weights = lambda: None
    net.init_weights()
    assert torch.equal(net.net.first.weight, other["net.first.weight"])


def test_without_timm_one_sentence_names_it_and_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    sentence = r"expected the package timm and the torchvision .* pip install 'mmext\[timm\]'"
    with pytest.raises(BadInputError, match=sentence):
        TimmBackbone()


@pytest.mark.parametrize("indices", [None, (1, 4)])
def test_a_net_of_timm_s(indices):
    pytest.importorskip("timm", exc_type=ImportError)
    net = TimmBackbone("resnet18", out_indices=indices).eval()
    with torch.no_grad():
        maps = net(torch.zeros(1, 3, 64, 96))
    assert [one.shape[1] for one in maps] == net.out_channels
    assert maps[-1].shape == (1, 512, 2, 3)
    assert len(maps) == (5 if indices is None else 2)


def test_the_base_config_builds_on_it(asked):
    cfg = Config.fromfile(CONFIG).model
    cfg.head.in_channels = 8
    model = MODELS.build(cfg)
    assert isinstance(model.backbone, TimmBackbone)
    assert asked["name"] == "resnet50"
