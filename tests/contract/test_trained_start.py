"""A trained start survives init_weights(), however it is given, and nothing random is frozen."""

import pytest
import torch
from mmengine.model import PretrainedInit
from torch.testing import assert_close

from tests.contract.backbones import accepted, backbones, built, trained

PARTS = pytest.mark.parametrize("part", backbones(), ids=lambda part: part.name)
OWN_FILE = dict(pretrained2d=False, torchvision_pretrain=False)
"""What mmaction's classes want to be told of a file that is not an image classifier's."""

WAYS = {
    "dict": lambda file: dict(init_cfg=dict(type="Pretrained", checkpoint=file)),
    "list": lambda file: dict(
        init_cfg=[dict(type="Pretrained", checkpoint=file), dict(type="Kaiming", layer="Conv2d")]
    ),
    "class": lambda file: dict(init_cfg=dict(type=PretrainedInit, checkpoint=file)),
    "list-of-class": lambda file: dict(init_cfg=[dict(type=PretrainedInit, checkpoint=file)]),
    "pretrained": lambda file: dict(pretrained=file),
}


def test_there_are_backbones_of_each_task_that_has_some():
    assert {part.paper[0] for part in backbones()} == {"detection", "action"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of weights for each backbone, written once."""
    folder, made = tmp_path_factory.mktemp("weights"), {}

    def file(part):
        if part.name not in made:
            made[part.name] = str(folder / f"{part.name}.pth")
            torch.save(trained(built(part)).state_dict(), made[part.name])
        return made[part.name]

    return file


@PARTS
@pytest.mark.parametrize("way", WAYS)
def test_it_survives(part, way, files):
    cfg = WAYS[way](files(part))
    if way == "pretrained":
        cfg |= {name: value for name, value in OWN_FILE.items() if name in accepted(part)}
    net = built(part, **cfg)
    net.init_weights()
    assert_close(net.state_dict(), torch.load(files(part)), rtol=0, atol=0)
    net.init_weights()  # once more, as when a model is built of initialised parts
    assert_close(net.state_dict(), torch.load(files(part)), rtol=0, atol=0)


def ours(net):
    """Names of the parameters that a plain backbone lacks."""
    new = [name for name, m in net.named_modules() if hasattr(m, "held_names")]
    return [name for name, _ in net.named_parameters() if name.startswith(tuple(new))]


@PARTS
def test_frozen_stages_spare_what_is_still_random(part, files, tmp_path):
    names = ours(built(part))
    if not names:
        pytest.skip("the paper adds nothing to this backbone, or nothing in this config")
    whole = torch.load(files(part))
    plain = {name: tensor for name, tensor in whole.items() if name not in names}
    torch.save(plain, tmp_path / "plain.pth")
    for file, frozen in ((str(tmp_path / "plain.pth"), False), (files(part), True)):
        net = built(part, frozen_stages=3, init_cfg=dict(type="Pretrained", checkpoint=file))
        net.init_weights()
        net.train()
        by_name = dict(net.named_parameters())
        assert not next(
            p for name, p in by_name.items() if name.startswith("layer1.0.conv1")
        ).requires_grad
        for name in names:
            if name.startswith(("layer1", "layer2", "layer3")):
                assert by_name[name].requires_grad != frozen, name
        learning = {name for name, p in by_name.items() if p.requires_grad}
        net.load_state_dict(whole)  # as a run that is resumed does
        net.train()
        assert {name for name, p in net.named_parameters() if p.requires_grad} == learning
