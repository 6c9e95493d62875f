"""Counts to the digit, shapes, starts and what is refused (TS-1 of the specification)."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn
from torch.testing import assert_close

from mmext.landmarks.supervised import VGGCPM, StackedHourglass

SMALL = dict(num_keypoints=5, width_mult=0.125)


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


def count_multiply_adds(net):
    """A list of what each convolution does for one picture, filled when the net runs."""
    found = []

    def add(layer, _, out):
        found.append(out[0].numel() * layer.weight[0].numel())

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(add)
    return found


@pytest.mark.parametrize(
    ("kind", "parameters", "millions", "stages"),
    [("VGGCPM", 16_703_372, 1720.98, 3), ("StackedHourglass", 24_965_648, 1600.85, 4)],
)
@torch.no_grad()
def test_counts_are_those_of_the_released_nets(kind, parameters, millions, stages):
    net = MODELS.build(dict(type=f"mmext.{kind}", num_keypoints=68)).eval()
    assert count(net) == parameters
    done = count_multiply_adds(net)
    maps = net(torch.rand(1, 3, 64, 64))
    side = 64 // net.stride
    assert [tuple(one.shape) for one in maps] == [(1, 68, side, side)] * stages
    # theirs counts additions of biases, norms and short cuts too
    within = 1e-3 if kind == "VGGCPM" else 3e-3
    assert sum(done) / 1e6 == pytest.approx(millions, rel=within)
    narrow = MODELS.build(dict(type=f"mmext.{kind}", num_keypoints=68, width_mult=0.02)).eval()
    assert narrow(torch.rand(1, 3, 256, 256))[-1].shape == (1, 68, 4 * side, 4 * side)


@pytest.mark.parametrize("kind", [VGGCPM, StackedHourglass])
def test_narrow_nets_have_as_many_stages_as_asked_for(kind):
    torch.manual_seed(0)
    stages = {"num_stages" if kind is VGGCPM else "num_stacks": 2}
    net = kind(**SMALL, **stages)
    maps = net(torch.rand(2, 3, 64, 128))
    assert len(maps) == 2
    assert maps[-1].shape == (2, 5, 64 // net.stride, 128 // net.stride)
    maps[-1].square().sum().backward()
    reached = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert {"features", "stages"} <= reached or {"stem", "stacks", "from_maps"} <= reached


def test_a_stage_sees_the_maps_before_it():
    torch.manual_seed(0)
    net = VGGCPM(**SMALL, init_cfg=dict(type="Kaiming", layer="Conv2d"))
    net.init_weights()
    x = torch.rand(1, 3, 64, 64)
    before = net(x)
    with torch.no_grad():
        net.stages[0][-1].bias += 1
    after = net(x)
    assert_close(after[0], before[0] + 1, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(after[2], before[2])


def test_weights_start_small_and_a_pretrained_trunk_survives(tmp_path):
    torch.manual_seed(0)
    net = VGGCPM(num_keypoints=5, width_mult=0.25)
    net.init_weights()
    weights = torch.cat([p.detach().flatten() for n, p in net.named_parameters() if "weight" in n])
    assert float(weights.std()) == pytest.approx(0.01, rel=0.02)
    assert all(not p.any() for n, p in net.named_parameters() if "bias" in n)
    # torchvision's file: the trunk under the same names, the fifth block and the classifier besides
    other = VGGCPM(num_keypoints=5, width_mult=0.25).features.state_dict()
    file = {f"features.{name}": torch.rand_like(value) for name, value in other.items()}
    file |= {"features.24.weight": torch.rand(4), "classifier.0.bias": torch.rand(4)}
    torch.save(file, tmp_path / "vgg16.pth")
    net = VGGCPM(
        num_keypoints=5,
        width_mult=0.25,
        init_cfg=dict(type="Pretrained", checkpoint=str(tmp_path / "vgg16.pth")),
    )
    for _ in range(2):  # once more, as when a model is built of initialised parts
        net.init_weights()
        for name, value in net.features.state_dict().items():
            assert_close(value, file[f"features.{name}"], rtol=0, atol=0)
        assert float(net.stages[0][0].weight.detach().std()) == pytest.approx(0.01, rel=0.05)


def test_the_trunk_is_numbered_as_torchvision_numbers_it():
    names = [name for name in VGGCPM(5).features.state_dict() if name.endswith("weight")]
    assert names == [f"{n}.weight" for n in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)]


def test_an_hourglass_refuses_one_picture_of_64_pixels_in_training():
    net = StackedHourglass(**SMALL, num_stacks=1)
    with pytest.raises(ValueError, match="two pictures a batch or more to train at 64 pixels, got"):
        net(torch.rand(1, 3, 64, 64))
    net(torch.rand(2, 3, 64, 64))
    net(torch.rand(1, 3, 64, 128))
    net.eval()(torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match="divisible by 64, got 96 x 64; set size of FaceCrop"):
        net(torch.rand(2, 3, 96, 64))
