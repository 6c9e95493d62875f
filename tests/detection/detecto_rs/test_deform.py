"""Deformable convolution in plain PyTorch: oracle, mmcv parity, gradients, precision, backends."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import deform_conv2d as mmcv_deform_conv2d
from torch._subclasses import FakeTensorMode
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmext.detection.detecto_rs import deform
from mmext.detection.detecto_rs.deform import (
    choose_backend,
    deform_conv2d,
    product_dtype,
    sample_columns,
    sampling_grid,
)
from mmext.measure import bytes_kept_for_backward
from mmext.ops.taps import Geometry, tap_positions
from tests.detection.detecto_rs.sac_layers import error
from tests.detection.detecto_rs.sac_oracle import convolution
from tests.fresh_process import run

BACKENDS = pytest.mark.parametrize("backend", ["grid_sample", "mmcv"])
BLOCK_OPS = """
import sys
from importlib.abc import MetaPathFinder

class Block(MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname == "mmcv._ext" or fullname.startswith("mmcv.ops"):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

sys.meta_path.insert(0, Block())
"""


def geometry(stride=1, dilation=1):
    return Geometry((stride,) * 2, (dilation,) * 2, (dilation,) * 2)


def case(
    stride=1,
    dilation=1,
    groups=1,
    spread=4.0,
    size=(9, 13),
    batch=2,
    dtype=torch.float64,
    channels=4,
):
    """Input, offsets, weight and geometry of a 3 x 3 convolution."""
    g = torch.Generator().manual_seed(0)
    out = [-(-n // stride) for n in size]
    shapes = ((batch, channels, *size), (batch, 18, *out), (6, channels // groups, 3, 3))
    x, offset, weight = (
        torch.randn(shape, generator=g, dtype=torch.float64).to(dtype) for shape in shapes
    )
    return x, offset * spread, weight, geometry(stride, dilation)


class TestPositions:
    def test_golden(self):
        rows = tap_positions(Geometry((2, 2), (3, 3), (3, 3)), 0, 3, 2, like=torch.zeros(()))
        assert rows.tolist() == [[-3, -1], [0, 2], [3, 5]]

    def test_the_grid_is_what_grid_sample_takes_for_pixels(self):
        grid = sampling_grid(torch.zeros(1, 18, 4, 6), (3, 3), (4, 6), geometry())
        centre = grid.unflatten(1, (9, 4))[0, 4]  # of the tap in the middle
        expected = F.affine_grid(torch.eye(2, 3)[None], [1, 1, 4, 6], align_corners=False)[0]
        assert_close(centre, expected)

    def test_columns_are_unfold_s_if_nothing_moves(self):
        x, offset, _, where = case(stride=2, dilation=3)
        grid = sampling_grid(0 * offset, (3, 3), x.shape[2:], where)
        unfolded = F.unfold(x, 3, stride=2, padding=3, dilation=3)
        assert_close(sample_columns(x, grid, 9).flatten(2), unfolded)


class TestValues:
    @pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 3)])
    def test_equal_the_loop(self, stride, dilation):
        x, offset, weight, where = case(stride, dilation, size=(5, 6), batch=1, channels=2)
        y = deform_conv2d(x, offset, weight, None, where)
        expected = convolution(x[0], weight, stride, dilation, dilation, offset[0])
        assert_close(y[0], expected, rtol=0, atol=1e-12)

    @BACKENDS
    def test_without_offsets_it_is_the_plain_convolution(self, backend):
        x, offset, weight, where = case(stride=2, dilation=3, groups=2)
        bias = torch.arange(6.0, dtype=x.dtype)
        y = deform_conv2d(x, 0 * offset, weight, bias, where, groups=2, backend=backend)
        assert_close(y, F.conv2d(x, weight, bias, *where, groups=2))

    def test_offsets_of_whole_pixels_move_the_map(self):
        x, offset, weight, where = case()
        down, right = 2, -3
        offset = offset.zero_()
        offset[:, 0::2], offset[:, 1::2] = down, right
        moved = F.pad(x, (3, 0, 0, 2))[:, :, down:, :right]
        y, expected = (
            deform_conv2d(x, offset, weight, None, where),
            F.conv2d(moved, weight, None, *where),
        )
        # beside the border the moved map lacks what the map has
        inner = (..., slice(1, -1), slice(1, -1))
        assert_close(y[inner], expected[inner])

    def test_outside_is_zero_however_far(self):
        x, offset, weight, where = case()
        for far in (1e2, 1e9, -1e9, 1e30):
            assert not deform_conv2d(x, torch.full_like(offset, far), weight, None, where).any()

    @pytest.mark.parametrize("dilation", [1, 3])
    @pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 2)])
    def test_equal_mmcv_s_with_gradients(self, stride, dilation, groups):
        x, offset, weight, where = case(stride, dilation, groups)
        leaves = [t.requires_grad_() for t in (x, offset, weight)]
        slope = torch.linspace(-1, 2, 2 * 6 * offset[0, 0].numel(), dtype=x.dtype)
        results = []
        for y in (
            deform_conv2d(*leaves, None, where, groups=groups),
            mmcv_deform_conv2d(*leaves, *where, groups, 1),
        ):
            results.append([y.detach(), *torch.autograd.grad(y, leaves, slope.view_as(y))])
        assert_close(results[0], results[1], rtol=0, atol=1e-12)

    def test_kernels_need_not_be_three_by_three(self):
        g = torch.Generator().manual_seed(0)
        x, offset, weight = (
            torch.randn(s, generator=g) for s in ((2, 4, 8, 9), (2, 2 * 5, 8, 9), (6, 4, 1, 5))
        )
        where = Geometry(padding=(0, 2))
        y = deform_conv2d(x, offset, weight, None, where)
        assert_close(y, mmcv_deform_conv2d(x, offset, weight, *where))


class TestGradients:
    def test_against_differences(self):
        x, offset, weight, where = case(size=(3, 4), batch=1, spread=0.7, channels=2)
        leaves = [t.requires_grad_() for t in (x, offset, weight[:1])]
        assert gradcheck(lambda *t: deform_conv2d(*t, None, where), leaves)

    @pytest.mark.parametrize("wanted", range(4))
    def test_any_of_the_tensors_may_be_the_only_one_to_want_some(self, wanted):
        x, offset, weight, where = case()
        tensors = [x, offset, weight, torch.zeros(6, dtype=x.dtype)]
        tensors[wanted].requires_grad_()
        deform_conv2d(*tensors, where).square().sum().backward()
        assert tensors[wanted].grad.any()

    def test_columns_are_not_kept(self):
        x, offset, weight, where = case(dtype=torch.float32, size=(32, 32), channels=16)
        leaves = [t.requires_grad_() for t in (x, offset, weight)]
        kept = bytes_kept_for_backward(lambda: deform_conv2d(*leaves, None, where))
        columns = 9 * x.nbytes
        assert kept <= x.nbytes + offset.nbytes + weight.nbytes < columns / 4


class TestPrecision:
    @BACKENDS
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_positions_are_exact_far_from_the_corner(self, dtype, backend):
        """An eighth pixel beside stripes gives an eighth; half precision knows none out there."""
        x = (torch.arange(600) % 2).float().expand(1, 1, 4, 600)
        offset = torch.zeros(1, 2, 4, 600)
        offset[:, 1] = 0.125
        expected = deform_conv2d(x, offset, torch.ones(1, 1, 1, 1))
        with torch.autocast("cpu", dtype=dtype):
            y = deform_conv2d(x.to(dtype), offset, torch.ones(1, 1, 1, 1), backend=backend)
        assert y.dtype == dtype
        assert_close(y.float(), expected, rtol=1e-4, atol=1e-4)
        assert_close(expected[0, 0, 0, 500:502], torch.tensor([0.125, 0.875]), rtol=0, atol=1e-4)

    @BACKENDS
    @pytest.mark.parametrize(("dtype", "limit"), [(torch.bfloat16, 2e-2), (torch.float16, 2e-3)])
    def test_a_half_precision_model_is_near(self, dtype, limit, backend):
        x, offset, weight, where = case(dtype=torch.float32)
        leaves = [t.to(dtype).requires_grad_() for t in (x, offset, weight)]
        y = deform_conv2d(*leaves, None, where, backend=backend)
        exact = deform_conv2d(*(t.detach().float() for t in leaves), None, where)
        assert y.dtype == dtype
        assert error(y.float(), exact) < limit
        y.float().square().sum().backward()
        assert all(t.grad.dtype == dtype and t.grad.isfinite().all() for t in leaves)


class TestBackends:
    def choose(self, backend, device="cpu", dtype=torch.float32, size=9, batch=1):
        with FakeTensorMode():
            x = torch.empty(batch, 4, size, size, device=device)
            return choose_backend(backend, x, torch.empty(6, 4, 3, 3, device=device, dtype=dtype))

    def test_auto_is_plain_pytorch_on_a_cpu(self):
        assert self.choose("auto") == "grid_sample"

    @pytest.mark.parametrize("has_ops", [True, False])
    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
    def test_auto_is_mmcv_on_cuda_for_float_if_its_kernel_is_there(
        self, monkeypatch, has_ops, dtype
    ):
        monkeypatch.setattr(deform, "mmcv_has_cuda", lambda: has_ops)
        known = has_ops and dtype == torch.float32
        assert self.choose("auto", "cuda", dtype) == ("mmcv" if known else "grid_sample")

    def test_under_autocast_its_dtype_counts(self):
        weight = torch.zeros(6, 4, 3, 3)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert product_dtype(weight) == torch.bfloat16
        assert product_dtype(weight) == torch.float32

    def test_what_is_asked_for_is_taken(self):
        assert self.choose("mmcv") == "mmcv"
        assert self.choose("grid_sample", "cuda") == "grid_sample"

    @pytest.mark.parametrize("cfg", [dict(size=2), dict(batch=0)], ids=str)
    def test_what_mmcv_refuses_goes_to_plain_pytorch(self, cfg):
        assert self.choose("mmcv", **cfg) == "grid_sample"

    @BACKENDS
    @pytest.mark.parametrize("size", [(1, 1), (2, 7)])
    def test_maps_smaller_than_the_kernel(self, size, backend):
        x, offset, weight, where = case(size=size, dilation=3, batch=1, channels=2)
        y = deform_conv2d(x, offset, weight, None, where, backend=backend)
        assert_close(y[0], convolution(x[0], weight, 1, 3, 3, offset[0]), rtol=0, atol=1e-12)

    @pytest.mark.parametrize("batch", [0, 33, 48])
    def test_any_batch_does(self, batch):
        """mmcv's kernel takes up to 32 images at once.

        It only takes batches that are a multiple of its share.
        """
        x, offset, weight, where = case(batch=batch, size=(4, 4))
        y, y0 = (
            deform_conv2d(x, offset, weight, None, where, backend=b)
            for b in ("mmcv", "grid_sample")
        )
        assert y.shape == (batch, 6, 4, 4)
        assert_close(y, y0)

    def test_channels_last_does(self):
        x, offset, weight, where = case()
        expected = deform_conv2d(x, offset, weight, None, where)
        last = [t.contiguous(memory_format=torch.channels_last) for t in (x, offset, weight)]
        for backend in ("mmcv", "grid_sample"):
            assert_close(deform_conv2d(*last, None, where, backend=backend), expected)

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    @pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.float16, 5e-3)])
    def test_auto_on_a_gpu_is_the_same_function(self, dtype, limit):
        x, offset, weight, where = case(dtype=torch.float32)
        expected = deform_conv2d(x, offset, weight, None, where)
        y = deform_conv2d(x.cuda().to(dtype), offset.cuda(), weight.cuda().to(dtype), None, where)
        assert error(y.float().cpu(), expected) < limit


class TestWithoutCompiledOps:
    def test_everything_works_but_mmcv_s_backend(self, tmp_path):
        out = run(
            BLOCK_OPS
            + """
import torch
from mmext.detection.detecto_rs.deform import mmcv_has_cuda
from mmext.detection.detecto_rs.sac import SAC
y = SAC(4, 6, 3, padding=1, use_deform=True)(torch.randn(2, 4, 8, 8))
y.sum().backward()
assert y.shape == (2, 6, 8, 8)
assert not mmcv_has_cuda()
try:
    SAC(4, 6, 3, padding=1, use_deform=True, backend="mmcv")
except ImportError as error:
    print(error)
""",
            cwd=tmp_path,
        )
        assert "backend='mmcv' needs mmcv with compiled ops, got No module named 'mmcv.ops'" in out
        assert "leave backend at 'auto'" in out

    def test_they_are_not_imported_where_they_are_not_used(self, tmp_path):
        run(
            """
import sys, torch
from mmext.detection.detecto_rs.sac import SAC
SAC(4, 6, 3, padding=1, use_deform=True)(torch.randn(1, 4, 8, 8))
assert "mmcv.ops" not in sys.modules
""",
            cwd=tmp_path,
        )
