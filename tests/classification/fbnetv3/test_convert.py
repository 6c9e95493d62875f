"""Files of timm and of mobile-vision become ours, tensor by tensor."""

import json
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from mmext.classification.fbnetv3.backbone import FBNetV3
from mmext.classification.fbnetv3.convert import convert
from mmext.errors import BadInputError
from tests.classification.fbnetv3.nets import filled, fingerprint, learnt, scores_of_pictures, whole

PARTS = dict(expand="pw", depthwise="dw", project="pwl")


def ours(arch, padding="same", classes=10):
    """A learnt net and its weights, by the names that a checkpoint of a classifier has."""
    net = learnt(whole(arch, padding, classes)).eval()
    names = {"0": "backbone", "1": "head"}
    weights = {f"{names[name[0]]}{name[1:]}": tensor for name, tensor in net.state_dict().items()}
    return net, weights


def as_mobile_vision(name, tensor):
    """Their name of one of our tensors, written from their modules and not from our table."""
    parts = name.split(".")
    last = parts[-1]
    if parts[0] == "head":
        if parts[1] == "fc":
            shaped = tensor[:, :, None, None] if last == "weight" else tensor
            return f"head.conv.{last}", shaped
        inner = {"expand": ".".join(["pw", *parts[2:]]), "features": f"pwl.conv.{last}"}
        return f"backbone.stages.xif6_0.{inner[parts[1]]}", tensor
    if parts[1] == "stem":
        return ".".join(["backbone.stages.xif0_0", *parts[2:]]), tensor
    stage, block, part = int(parts[2]) + 1, parts[3], parts[4]
    place = f"backbone.stages.xif{stage}_{block}"
    if part == "se":
        return f"{place}.se.se.{dict(squeeze='0.conv', excite='1')[parts[5]]}.{last}", tensor
    return ".".join([place, PARTS[part], *parts[5:]]), tensor


@pytest.mark.parametrize("arch", ["a0", "d"])
def test_a_file_of_mobile_vision_gives_the_averaged_weights(arch):
    _, weights = ours(arch)
    theirs = dict(as_mobile_vision(*one) for one in weights.items())
    file = dict(
        epoch=3,
        state_dict={f"module.{name}": torch.zeros_like(one) for name, one in theirs.items()},
        model_ema={f"module.{name}": one for name, one in theirs.items()},
    )
    found, name, whose = convert(file)
    assert (name, whose) == (arch, "mobile-vision")
    assert_close(found, weights, rtol=0, atol=0)
    del file["model_ema"]
    assert convert(file)[0]["head.fc.bias"].count_nonzero() == 0


def test_incomplete_and_foreign_files_are_named():
    _, weights = ours("a0")
    theirs = dict(as_mobile_vision(*one) for one in weights.items())
    del theirs["backbone.stages.xif3_1.se.se.1.bias"]
    with pytest.raises(BadInputError, match=r"a0 lacks 1, such as backbone.stages.2.1.se.excite.b"):
        convert(theirs)
    with pytest.raises(BadInputError, match=r"got names such as 'layer1.weight'; convert only"):
        convert({"layer1.weight": torch.zeros(1)})


BEFORE_WIDER = 5
"""Blocks at stride 16 that timm keeps in a stage of their own, in b, d and g."""


def as_timm(name):
    """Their name of one of our tensors, written from their modules and not from our table."""
    parts = name.split(".")
    if parts[0] == "head":
        first = {
            "fc": "classifier",
            "features": "conv_head",
            "expand": "blocks.6.0." + {"conv": "conv", "bn": "bn1"}.get(parts[2], ""),
        }
        return ".".join([first[parts[1]], *parts[3 if parts[1] == "expand" else 2 :]])
    if parts[1] == "stem":
        return ".".join([{"conv": "conv_stem", "bn": "bn1"}[parts[2]], *parts[3:]])
    stage, block, part, layer = int(parts[2]), int(parts[3]), *parts[4:6]
    if stage == 4 or (stage == 3 and block >= BEFORE_WIDER):
        block -= BEFORE_WIDER if stage == 3 else 0
        stage += 1
    if part == "se":
        own = f"se.{dict(squeeze='conv_reduce', excite='conv_expand')[layer]}"
    else:
        place = ["expand", "depthwise", "project"].index(part) + 1
        convs = ["conv_pw", "conv_dw", "conv_pwl"]
        if stage == 0:  # nothing is widened, and the second one is the pointwise one
            place, convs = place - 1, ["conv_dw", "conv_pw"]
        own = convs[place - 1] if layer == "conv" else f"bn{place}"
    return ".".join(["blocks", str(stage), str(block), own, *parts[6:]])


def compare(arch, recorded):
    """Our net with weights that follow from timm's names, and what timm's says with them."""
    _, weights = ours("a" if arch == "b" else arch)
    theirs = filled({as_timm(name): one.shape for name, one in weights.items()})
    assert fingerprint(theirs) == recorded["tensors"]
    weights, name, whose = convert(theirs)
    assert (name, whose) == ("a" if arch == "b" else arch, "timm")  # a and b have equal weights
    net = whole(arch, "same", 10)
    for place, part in enumerate(("backbone.", "head.")):
        own = {k.removeprefix(part): v for k, v in weights.items() if k.startswith(part)}
        net[place].load_state_dict(own)
    want = torch.tensor(recorded["scores"])
    assert 0.02 < want.std(0).mean() < 2  # the pictures are told apart
    assert_close(scores_of_pictures(net), want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("arch", ["b", "d", "g"])
def test_timm_s_recorded_scores_are_ours(arch):
    """record_timm.py has asked timm; b is its own definition: symmetric padding."""
    file = Path(__file__).with_name("timm.json")
    compare(arch, json.loads(file.read_text())["nets"][arch])


@pytest.mark.parametrize("arch", ["b", "d", "g"])
def test_timm_that_is_installed_says_the_same(arch):
    pytest.importorskip("timm", exc_type=ImportError)
    from tests.classification.fbnetv3.record_timm import recorded

    compare(arch, recorded(arch))


def test_the_command_writes_a_file_that_a_backbone_starts_from(tmp_path, capsys):
    from mmext.cli.convert import main

    _, weights = ours("a0")
    theirs = dict(as_mobile_vision(*one) for one in weights.items())
    torch.save(dict(model_ema=theirs), tmp_path / "theirs.pth")
    main(["fbnetv3", str(tmp_path / "theirs.pth"), str(tmp_path / "new" / "ours.pth")])
    assert "FBNetV3 with arch='a0', from mobile-vision" in capsys.readouterr().out
    start = dict(
        type="Pretrained", checkpoint=str(tmp_path / "new" / "ours.pth"), prefix="backbone"
    )
    net = FBNetV3("a0", init_cfg=start)
    net.init_weights()
    assert torch.equal(net.stem.conv.weight, weights["backbone.stem.conv.weight"])


@pytest.mark.parametrize(
    ("content", "words"),
    [([1, 2], "expected a state dict of tensors"), (dict(a=torch.ones(1)), "names such as 'a'")],
)
def test_the_command_names_what_it_cannot_use(content, words, tmp_path):
    from mmext.cli.convert import main

    torch.save(content, tmp_path / "theirs.pth")
    with pytest.raises(SystemExit) as end:
        main(["fbnetv3", str(tmp_path / "theirs.pth"), str(tmp_path / "ours.pth")])
    assert str(end.value.code).startswith(f"error: {tmp_path / 'theirs.pth'}: ")
    assert words in str(end.value.code)
    assert not (tmp_path / "ours.pth").exists()
