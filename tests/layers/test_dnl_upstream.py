"""What mmseg's block gets wrong and ours does not; a test tells when upstream no longer does."""

import pytest
import torch
from mmseg.models.decode_heads.dnl_head import DisentangledNonLocal2d as Upstream

from mmext.layers.disentangled_non_local import DisentangledNonLocal2d
from mmext.measure import bytes_kept_for_backward

BOTH = pytest.mark.parametrize(
    "cls", [DisentangledNonLocal2d, pytest.param(Upstream, marks=pytest.mark.xfail(strict=True))]
)


def built(cls, **kwargs):
    """A block that is no identity; upstream must be given a temperature."""
    return cls(8, zeros_init=False, **kwargs, **(dict(temperature=0.05) if cls is Upstream else {}))


@BOTH
@pytest.mark.parametrize("mode", ["gaussian", "concatenation"])
def test_backward_works_in_every_mode(cls, mode):
    built(cls, mode=mode, reduction=1)(torch.randn(2, 8, 4, 4, requires_grad=True)).sum().backward()


@BOTH
def test_gaussian_leaves_its_input_alone(cls):
    x = torch.randn(2, 8, 4, 4)
    before = x.clone()
    with torch.no_grad():
        built(cls, mode="gaussian", reduction=1)(x)
    assert torch.equal(x, before)


@BOTH
def test_sub_sampling_works(cls):
    x = torch.randn(2, 8, 4, 6)
    assert built(cls, sub_sample=True)(x).shape == x.shape


@BOTH
def test_no_matrix_is_kept(cls):
    block = built(cls)
    x = torch.randn(1, 8, 20, 20, requires_grad=True)
    assert bytes_kept_for_backward(lambda: block(x)) < 4 * 400 * 400


@BOTH
def test_a_temperature_has_an_effect(cls):
    block = cls(8, mode="dot_product", temperature=0.1, zeros_init=False)
    other = cls(8, mode="dot_product", temperature=1.0, zeros_init=False)
    other.load_state_dict(block.state_dict())
    x = torch.randn(2, 8, 4, 4)
    with torch.no_grad():
        assert not torch.allclose(block(x), other(x))


@BOTH
def test_a_block_wider_than_its_input_is_refused(cls):
    with pytest.raises(ValueError, match="reduction"):
        built(cls, reduction=16)
