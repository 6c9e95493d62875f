"""SAC in half precision, what it keeps and computes, and its compilation."""

import pytest
import torch
from mmcv.ops import SAConv2d

from mmext.detection.detecto_rs.sac import SAC
from mmext.measure import bytes_kept_for_backward, flops, num_operators
from tests.detection.detecto_rs.sac_layers import DEFORM, error, gradients, image, layer, pair
from tests.fresh_process import run
from tests.mmcv_extension import compiled_only


class TestPrecision:
    @DEFORM
    @pytest.mark.parametrize("backend", ["grid_sample", "mmcv"])
    @pytest.mark.parametrize(("dtype", "limit"), [(torch.bfloat16, 3e-2), (torch.float16, 5e-3)])
    def test_autocast_is_near_float32(self, use_deform, backend, dtype, limit):
        sac = layer(use_deform, backend=backend)
        expected, _ = gradients(sac, image())
        with torch.autocast("cpu", dtype=dtype):
            y, grads = gradients(sac, image())
        assert y.dtype == dtype
        assert error(y.float(), expected) < limit
        assert all(grad.isfinite().all() for grad in grads.values())

    @DEFORM
    def test_a_bfloat16_model_runs(self, use_deform):
        sac = layer(use_deform)
        expected = sac(image())
        y = sac.bfloat16()(image(dtype=torch.bfloat16))
        assert y.dtype == torch.bfloat16
        assert error(y.float(), expected) < 5e-2

    @compiled_only
    def test_upstream_by_the_repair_of_its_kernel(self):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(cls=SAConv2d)(image()).isfinite().all()


class TestCost:
    def kept(self, use_deform, channels, size, stride=1):
        x = torch.zeros(1, channels, *size, requires_grad=True)
        both = [
            cls(channels, channels, 3, stride=stride, padding=1, bias=False, use_deform=use_deform)
            for cls in (SAC, SAConv2d)
        ]
        return [bytes_kept_for_backward(lambda sac=sac: sac(x)) for sac in both]

    @pytest.mark.parametrize(
        ("channels", "stride", "limit"),
        [(128, 1, 7e6), (256, 2, 14e6)],
        ids=["128", "256 stride 2"],
    )
    def test_without_deformation_it_keeps_at_most_three_fifths_for_backward(
        self, channels, stride, limit
    ):
        ours, theirs = self.kept(False, channels, (50, 84), stride)
        assert ours <= limit
        assert ours <= 0.6 * theirs

    def test_with_deformation_it_keeps_less_than_the_compiled_kernel(self):
        ours, theirs = self.kept(True, 32, (50, 84))
        assert ours <= 0.9 * theirs

    def test_the_switch_is_read_before_it_is_pooled(self):
        """Pooling a channel for all: no more products than two convolutions and the little ones."""
        sac = SAC(8, 12, 3, padding=1, bias=False)
        H, W = 11, 13
        looks, switch, contexts = 2 * 9 * 8 * 12 * H * W, 8 * H * W, 8 * 8 + 12 * 12
        assert flops(lambda: sac(image(batch=1))) == 2 * (looks + switch + contexts)

    @compiled_only
    @torch.no_grad()
    def test_evaluation_takes_fewer_operators_than_upstream_s(self):
        for use_deform in (False, True):
            ours, theirs = pair(use_deform=use_deform)
            for sac in (ours.eval(), theirs.eval()):
                sac(image())
            assert num_operators(lambda: ours(image())) < num_operators(lambda: theirs(image()))  # noqa: B023


class TestCompilation:
    def test_there_are_no_graph_breaks_and_the_same_numbers(self, tmp_path):
        # In a process of its own: this one checks the types of all calls, which cannot be compiled.
        run(
            """
import torch
from mmext.detection.detecto_rs.sac import SAC
for use_deform in (False, True):
    torch.manual_seed(0)
    sac = SAC(8, 12, 3, padding=1, use_deform=use_deform)
    for p in sac.parameters():
        torch.nn.init.normal_(p, std=0.1)
    x = torch.randn(1, 8, 9, 10)
    for mode in (True, False):
        sac.train(mode)
        found = torch._dynamo.explain(sac)(x)
        assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons
    compiled = torch.compile(sac, backend="aot_eager", fullgraph=True)
    grads = []
    for model in (sac, compiled):
        sac.zero_grad()
        y = model(x)
        y.square().sum().backward()
        grads.append([y.detach(), *(p.grad.clone() for p in sac.parameters())])
    torch.testing.assert_close(*grads)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(compiled(x), sac(x))
""",
            cwd=tmp_path,
        )
