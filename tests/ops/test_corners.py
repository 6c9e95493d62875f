"""Every float dtype, nothing at all as input, and what mmcv's own extension refuses."""

import mmcv.ops as ops
import pytest
import torch

from tests.ops.cases import CASES, outputs, picture, rois

HALF = [
    case for case in CASES if not any(word in case.name for word in ("far-outside", "whole-pixels"))
]


@pytest.fixture(params=["torch", "torchvision"])
def source(request, serve):
    serve(request.param)
    return request.param


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_half_precision_is_float32_on_the_same_numbers(source, dtype):
    """Inputs are rounded to half, then computed with as float32, and the result is rounded once."""
    for case in HALF:
        inputs = case.make
        rounded = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs().items()}
        exact = type(case)(
            case.name,
            lambda rounded=rounded: {
                k: v.float() if v.is_floating_point() else v for k, v in rounded.items()
            },
            case.run,
            case.wants,
        )
        if case.name.startswith(("batched-nms", "softmax")) or "sync" in case.name:
            continue  # mmcv itself rounds on the way: class offsets, the softmax
        found, expected = outputs(case, dtype), outputs(exact)
        for name, value in expected.items():
            if value.shape != found[name].shape or not value.is_floating_point():
                assert value.shape == found[name].shape, case.name
                assert torch.equal(value, found[name]), case.name
                continue
            scale = max(1.0, float(value.abs().nan_to_num().max())) if value.numel() else 1.0
            step = torch.finfo(dtype).eps * scale
            torch.testing.assert_close(
                found[name].float(),
                value,
                rtol=2 * torch.finfo(dtype).eps,
                atol=2 * step,
                equal_nan=True,
                msg=lambda text, name=name, case=case: f"{case.name}, {name}: {text}",
            )


def test_positions_stay_exact_under_autocast(source):
    x = torch.arange(400.0).expand(1, 1, 2, 400).clone()
    offset = torch.full((1, 2, 2, 400), 0.25)
    with torch.autocast("cpu", torch.bfloat16):
        read = ops.deform_conv2d(x, offset, torch.ones(1, 1, 1, 1))
    torch.testing.assert_close(read[0, 0, 0, :398], torch.arange(398.0) + 0.25)


def test_no_regions_give_an_empty_result_and_no_gradient(source):
    for mode in ("avg", "max"):
        y = picture(1, 3, 9, 9).requires_grad_()
        out = ops.roi_align(y, torch.zeros(0, 5), 7, 1.0, 0, mode)
        assert out.shape == (0, 3, 7, 7)
        out.sum().backward()
        assert torch.equal(y.grad, torch.zeros_like(y))


def test_roi_align_takes_a_batch_in_channels_last(source):
    x, regions = picture(2, 4, 12, 10), rois(8, 2, 20)
    plain = ops.roi_align(x, regions, 3, 0.5, 2)
    last = ops.roi_align(x.to(memory_format=torch.channels_last), regions, 3, 0.5, 2)
    torch.testing.assert_close(last, plain)


def test_layers_learn_through_the_operators(source):
    """A deformable layer and RoIAlign fit a target by gradient descent.

    So the gradients go the right way.
    """
    torch.manual_seed(0)
    layer = ops.ModulatedDeformConv2dPack(4, 4, 3, padding=1, deform_groups=2)
    x, goal = torch.randn(2, 4, 12, 12), torch.randn(6, 4, 3, 3)
    regions = rois(10, 2, 12)[4:]
    optimizer = torch.optim.Adam(layer.parameters(), 0.02)
    losses = []
    for _ in range(40):
        loss = (ops.roi_align(layer(x), regions, 3, 1.0, 2) - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert layer.conv_offset.weight.abs().max() > 0  # it starts at zero: the offsets have learnt
