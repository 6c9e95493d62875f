"""Every operator takes bfloat16, whoever serves it: what it gives is float32's answer, rounded.

With mmcv's own extension (make test-ops) this is the repair compiled_bfloat16, else our operators
themselves.
"""

import pytest
import torch

from mmext.compat.bfloat16 import in_float32
from tests.mmcv_extension import COMPILED
from tests.ops.cases import CASES, Case, outputs


def rounded(case: Case) -> Case:
    """The same call with inputs that bfloat16 can hold."""
    return Case(
        case.name, lambda: {k: _round(v) for k, v in case.make().items()}, case.run, case.wants
    )


def _round(value: torch.Tensor) -> torch.Tensor:
    return value.bfloat16().float() if value.dtype == torch.float32 else value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_gives_float32_s_answer(case: Case) -> None:
    if COMPILED and case.cuda_only and not torch.cuda.is_available():
        pytest.skip("mmcv has no kernel of it for CPUs")
    device = "cuda" if COMPILED and case.cuda_only else "cpu"
    exact = outputs(rounded(case), device=device)
    found = outputs(rounded(case), torch.bfloat16, device=device)
    assert found.keys() == exact.keys()
    for name, value in exact.items():
        # Half a step of bfloat16 is 2 ** -9 of a value; sums of gradients are rounded more than
        # once.
        largest = value.abs().max().item() if value.numel() else 0
        torch.testing.assert_close(
            found[name].to(value.dtype),
            value,
            rtol=2**-7,
            atol=2**-7 * largest,
            equal_nan=True,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_results_are_written_back_and_inputs_look_untouched() -> None:
    def operator(x: torch.Tensor, out: torch.Tensor, *, more: list, number: int) -> tuple:
        assert {one.dtype for one in (x, out, *more)} == {torch.float32}
        out.copy_(x * number)
        more[0].add_(x)
        return x + 1, torch.ones(2, dtype=torch.int64)

    x = torch.tensor([1.0, 2.0], dtype=torch.bfloat16, requires_grad=True)
    out, sums = torch.zeros(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16)
    square = x.square()  # keeps x for its gradient
    with torch.no_grad():
        result, number = in_float32(operator)(x, out, more=[sums], number=3)
    assert (out.tolist(), sums.tolist()) == ([3, 6], [2, 3])
    assert (result.dtype, number.dtype) == (torch.bfloat16, torch.int64)
    square.sum().backward()
    assert x.grad.tolist() == [2, 4]


def test_other_types_pass_as_they_are() -> None:
    x = torch.ones(2)
    assert in_float32(lambda one: one)(x) is x


@pytest.mark.parametrize("kind", ["DCN", "DCNv2"])
def test_a_backbone_with_deformable_convolutions_trains_under_amp(kind: str) -> None:
    from mmdet.models import ResNet
    from mmengine.runner.amp import autocast

    torch.manual_seed(0)
    net = ResNet(
        50,
        base_channels=8,
        dcn=dict(type=kind, deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True),
    )
    with autocast(dtype=torch.bfloat16):
        out = net(torch.randn(1, 3, 96, 96))
        loss = sum(one.float().square().mean() for one in out)
    loss.backward()
    missing = [
        name for name, one in net.named_parameters() if one.requires_grad and one.grad is None
    ]
    assert missing == []
    assert all(one.grad.isfinite().all() for one in net.parameters() if one.grad is not None)
