"""CMM: the oracle, still clips, time reversed, the last frame, odd sizes, one frame a clip."""

import pytest
import torch
from torch.testing import assert_close

from mmext.action.stm.motion import ChannelMotion
from tests.action.stm import oracle

T, C = 4, 32
NORM = dict(type="BN2d", requires_grad=True)


def branch(**options):
    torch.manual_seed(0)
    return ChannelMotion(C, T, **options).eval()


def clips(B=2, H=6, W=5):
    return torch.randn(B * T, C, H, W, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("norm_cfg", [None, NORM])
def test_it_is_the_oracle(norm_cfg):
    one = branch(norm_cfg=norm_cfg)
    assert_close(one(clips()), oracle.motion(clips(), one, T))


def test_gradcheck():
    one = ChannelMotion(3, 2, reduction=1).double()
    x = torch.randn(2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(one, (x,))


def test_the_last_frame_has_no_motion_whatever_the_weights():
    out = branch(norm_cfg=NORM)(clips()).unflatten(0, (-1, T))
    assert torch.equal(out[:, -1], torch.zeros_like(out[:, -1]))
    assert out[:, :-1].abs().max() > 0


def test_a_still_clip_has_no_motion_with_a_delta_only():
    still = clips(B=1)[:1].expand(T, -1, -1, -1)
    assert branch(init="delta")(still).abs().max() == 0
    # a random K blurs, and what it blurs differs from the frame
    assert branch()(still).abs().max() > 0.1


def test_a_clip_in_reverse_has_the_opposite_motion_with_a_delta():
    one, x = branch(init="delta"), clips(B=1)
    assert_close(one(x.flip(0))[: T - 1], -one(x)[: T - 1].flip(0))


def test_zero_out_starts_without_motion_and_learns():
    one = branch(init="zero_out")
    out = one(clips())
    assert out.abs().max() == 0
    out.sum().backward()
    assert one.expand.weight.grad.abs().max() > 0


@pytest.mark.parametrize("size", [(28, 28), (29, 28), (7, 1)])
@pytest.mark.parametrize("downsample", ["pool", "strided"])
def test_any_size_becomes_that_of_the_convolution(size, downsample):
    x = clips(1, *size)
    expected = torch.nn.Conv2d(C, 1, 3, stride=2, padding=1)(x).shape[2:]
    assert branch(stride=2, downsample=downsample)(x).shape == (T, C, *expected)


def test_strided_is_every_second_place():
    one, every = branch(stride=2, downsample="strided"), branch()
    every.load_state_dict(one.state_dict())
    assert_close(one(clips()), every(clips())[..., ::2, ::2])


def test_one_frame_a_clip_has_no_motion_and_every_parameter_a_gradient():
    one = ChannelMotion(C, 1, norm_cfg=NORM)
    out = one(clips(1))
    assert out.abs().max() == 0
    out.sum().backward()
    assert all(p.grad is not None for p in one.parameters())


def test_there_is_at_least_one_channel_inside():
    assert ChannelMotion(8, T).reduce.out_channels == 1


@pytest.mark.parametrize("option", [dict(init="zeros"), dict(downsample="max")])
def test_unknown_options_are_named(option):
    with pytest.raises(ValueError, match=r"cmm_\w+ must be one of .*, got"):
        ChannelMotion(C, T, **option)
