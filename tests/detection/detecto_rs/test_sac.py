"""SAC: oracle, properties, parity with mmcv, corners and bad input."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import SAConv2d, modulated_deform_conv2d
from torch import nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmext.detection.detecto_rs.sac import SAC, local_mean, mix, pad_mirrored
from tests.detection.detecto_rs import sac_oracle as oracle
from tests.detection.detecto_rs.sac_layers import (
    DEFORM,
    UPSTREAM,
    error,
    gradients,
    image,
    largest_error,
    layer,
    pair,
    shake,
)


class TestFormula:
    @DEFORM
    @pytest.mark.parametrize(
        ("stride", "dilation", "size"), [(1, 1, (4, 5)), (2, 2, (5, 4)), (1, 1, (2, 5))]
    )
    def test_equals_the_loop(self, use_deform, stride, dilation, size):
        cfg = dict(stride=stride, padding=dilation, dilation=dilation, use_deform=use_deform)
        sac = shake(SAC(2, 3, 3, **cfg)).double()
        x = image(size, channels=2, batch=1, dtype=torch.float64)
        assert_close(sac(x)[0], oracle.sac(sac, x[0]), rtol=0, atol=1e-12)

    def test_the_mean_is_mirrored_at_the_border_and_holds_where_it_cannot_be(self):
        for size in ((1, 1), (1, 4), (2, 2), (5, 2), (3, 3)):
            x = image(size, channels=2, batch=1, dtype=torch.float64)
            assert pad_mirrored(x).shape[2:] == (size[0] + 4, size[1] + 4)
            assert_close(local_mean(x)[0], oracle.mean_5x5(x[0]))

    @pytest.mark.parametrize("stride", [(1, 1), (2, 1), (2, 2)])
    def test_the_mean_is_the_same_with_and_without_gradients(self, stride):
        x = image((9, 12), dtype=torch.float64)
        with_gradients = local_mean(x.clone().requires_grad_(), stride)
        assert_close(local_mean(x, stride), with_gradients.detach(), rtol=0, atol=1e-14)

    def test_mixing_keeps_the_look_that_the_switch_names(self):
        small, large = image(seed=1), image(seed=2)
        ones = torch.ones(2, 1, 11, 13)
        assert_close(mix(small, large, ones), small)
        assert torch.equal(mix(small, large, 0 * ones), large)

    @DEFORM
    def test_switched_off_it_is_three_times_as_wide_with_its_own_weight(self, use_deform):
        sac = SAC(8, 12, 3, padding=1, use_deform=use_deform)
        with torch.no_grad():
            sac.switch.bias.zero_()
            sac.weight_diff.normal_()
        expected = F.conv2d(image(), sac.weight + sac.weight_diff, sac.bias, padding=3, dilation=3)
        assert_close(sac(image()), expected, rtol=1e-4, atol=1e-5)

    def test_gradients(self):
        for use_deform in (False, True):
            sac = shake(SAC(1, 1, 3, padding=1, use_deform=use_deform)).double()
            names = [name for name, _ in sac.named_parameters()]
            x = image((3, 4), channels=1, batch=1, dtype=torch.float64).requires_grad_()
            leaves = [x, *(p.detach().requires_grad_() for p in sac.parameters())]

            def call(x, *parameters, sac=sac, names=names):
                return torch.func.functional_call(sac, dict(zip(names, parameters, strict=True)), x)

            assert gradcheck(call, leaves)


class TestParity:
    @DEFORM
    @pytest.mark.parametrize("stride", [1, 2])
    @pytest.mark.parametrize("groups", [1, 4])
    @pytest.mark.parametrize("dilation", [1, 2])
    @pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
    def test_outputs_and_gradients(self, use_deform, stride, groups, dilation, dtype, limit):
        cfg = dict(
            use_deform=use_deform, stride=stride, groups=groups, dilation=dilation, dtype=dtype
        )
        ours, theirs = pair(**cfg)
        x = image((9, 12), dtype=dtype)
        (y, grads), (y0, grads0) = gradients(ours, x), gradients(theirs, x)
        assert largest_error(y, y0) < limit
        assert grads.keys() == grads0.keys()
        assert max(error(grads[name], grads0[name]) for name in grads) < 10 * limit

    @DEFORM
    def test_weights_go_both_ways(self, use_deform):
        ours, theirs = pair(use_deform=use_deform, bias=True)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        theirs.load_state_dict(shake(ours, seed=3).state_dict(), strict=True)
        with torch.no_grad():
            ours.bias.zero_()
        assert largest_error(ours(image()), theirs(image())) < 1e-5

    def test_the_kernel_of_mmcv_as_backend(self):
        ours, theirs = pair(use_deform=True, backend="mmcv", dtype=torch.float64)
        assert_close(
            ours(image(dtype=torch.float64)), theirs(image(dtype=torch.float64)), rtol=0, atol=1e-12
        )

    def test_one_modulated_convolution_with_18_taps_is_the_same_function(self):
        """Switch as modulation, dilation 3 in the offsets: a relation used by no part of ours."""
        ours, _ = pair(use_deform=True, dtype=torch.float64)
        x = image(dtype=torch.float64)
        small, large = ours.effective_weights()
        seen = x + ours.pre_context(x.mean((2, 3), keepdim=True))
        near, far, switch = ours._controls(seen)
        near, far = (offset.unflatten(1, (3, 3, 2)).clone() for offset in (near, far))
        # Tap (ky, kx) of the wide look is tap (ky, 3 + kx) of a kernel of 3 x 6, which would read
        # at (ky - 1, kx + 2) where (3 ky - 3, 3 kx - 3) is wanted.
        k = torch.arange(3.0, dtype=x.dtype)
        far[:, :, :, 0] += (2 * k - 2)[:, None, None, None]
        far[:, :, :, 1] += (2 * k - 5)[:, None, None]
        mask = torch.cat(
            [switch.expand(-1, 3, -1, -1), (1 - switch).expand(-1, 3, -1, -1)], 1
        ).repeat(1, 3, 1, 1)
        y = modulated_deform_conv2d(
            F.pad(seen, (0, 3)),  # as wide as makes the output as wide as the map
            torch.cat([near, far], 2).flatten(1, 3).contiguous(),
            mask.contiguous(),
            torch.cat([small, large], 3).contiguous(),
            torch.zeros(12, dtype=x.dtype),
            *(1, 1, 1, 1, 1),
        )
        y = y + ours.post_context(y.mean((2, 3), keepdim=True))
        assert_close(ours(x), y, rtol=0, atol=1e-12)


class TestBias:
    def shift(self, cls):
        """What five more in the bias does to a layer without contexts, and the bias's gradient."""
        shifts = []
        for use_deform in (False, True):
            sac = layer(use_deform, cls)
            nn.init.zeros_(sac.post_context.weight)
            before, _ = gradients(sac, image())
            with torch.no_grad():
                sac.bias += 5
            after, grads = gradients(sac, image())
            shifts.append((after - before, grads.get("bias")))
        return shifts

    def test_it_counts(self):
        for shift, grad in self.shift(SAC):
            assert_close(shift, torch.full_like(shift, 5), rtol=1e-5, atol=1e-5)
            assert grad.any()

    @UPSTREAM
    def test_upstream(self):
        for shift, grad in self.shift(SAConv2d):
            assert shift.any()
            assert grad is not None


class TestCorners:
    @DEFORM
    @pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (5, 2), (33, 33)])
    @pytest.mark.parametrize("stride", [1, 2])
    def test_maps_of_any_size(self, use_deform, size, stride):
        y = layer(use_deform, stride=stride)(image(size))
        assert y.shape == (2, 12, *(-(-n // stride) for n in size))
        assert y.isfinite().all()

    @UPSTREAM
    def test_small_maps_upstream(self):
        layer(cls=SAConv2d)(image((2, 2)))

    @DEFORM
    def test_empty_batches(self, use_deform):
        assert layer(use_deform)(image(batch=0)).shape == (0, 12, 11, 13)

    @pytest.mark.parametrize("kernel", [1, 5, (1, 7)], ids=str)
    @DEFORM
    def test_kernels_of_any_size(self, use_deform, kernel):
        height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        padding = (height // 2, width // 2)
        sac = SAC(8, 12, kernel, padding=padding, use_deform=use_deform)
        assert_close(sac(image()), F.conv2d(image(), sac.weight, sac.bias, padding=padding))

    @DEFORM
    def test_channels_last(self, use_deform):
        # In double precision: in float32 the two orders differ by rounding, and positions amplify
        # that.
        sac, x = layer(use_deform).double(), image().double()
        expected = sac(x)
        last = dict(memory_format=torch.channels_last)
        assert_close(sac.to(**last)(x.contiguous(**last)), expected, rtol=1e-10, atol=1e-10)

    @DEFORM
    def test_every_parameter_gets_a_gradient(self, use_deform):
        sac = layer(use_deform)
        _, grads = gradients(sac, image())
        assert all(grads[name].any() for name, _ in sac.named_parameters())


class TestBadInput:
    @pytest.mark.parametrize("cfg", [dict(padding=0), dict(padding=1, dilation=2)], ids=str)
    def test_padding_that_changes_the_size(self, cfg):
        expected = (
            "SAC needs padding that keeps the map's size, .* got .*; the paper's layers have "
            "kernel_size=3"
        )
        with pytest.raises(ValueError, match=expected):
            SAC(8, 12, 3, **cfg)

    def test_an_even_kernel(self):
        with pytest.raises(ValueError, match=r"dilation \* \(kernel_size - 1\) / 2 = \(0.5, 0.5\)"):
            SAC(8, 12, 2, padding=1)

    def test_an_unknown_backend(self):
        with pytest.raises(
            ValueError, match=r"backend must be one of .*'auto'.* got 'cudnn'; 'auto' fits"
        ):
            SAC(8, 12, 3, padding=1, backend="cudnn")
