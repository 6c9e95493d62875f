"""Files of timm and of mobile-vision become ours, tensor by tensor."""

import pytest
import torch
from torch.testing import assert_close

from mmext.classification.fbnetv3.backbone import FBNetV3
from mmext.classification.fbnetv3.convert import convert
from mmext.errors import BadInputError
from tests.classification.fbnetv3.nets import learnt, whole

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


@pytest.mark.parametrize("arch", ["b", "d", "g"])
def test_timm_s_net_gives_the_same_numbers(arch):
    """b stands for timm's own definition: symmetric padding, which the released b has not."""
    timm = pytest.importorskip("timm", exc_type=ImportError)
    torch.manual_seed(0)
    theirs = learnt(timm.create_model(f"fbnetv3_{arch}", num_classes=10)).eval()
    weights, name, whose = convert(theirs.state_dict())
    assert (name, whose) == ("a" if arch == "b" else arch, "timm")  # a and b have equal weights
    net = whole(arch, "same", 10).eval()
    net[0].load_state_dict(
        {k.removeprefix("backbone."): v for k, v in weights.items() if k.startswith("backbone.")}
    )
    net[1].load_state_dict(
        {k.removeprefix("head."): v for k, v in weights.items() if k.startswith("head.")}
    )
    x = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want, found = theirs(x), net(x)
    assert want.std() > 1e-3  # else all nets would be equal
    assert_close(found, want, rtol=1e-4, atol=1e-4)


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
