"""Multi-scale deformable attention.

Paper     Deformable DETR, Zhu et al. 2020, https://arxiv.org/abs/2010.04159, Eq. 3
Idea      Each query reads a few positions of each level's map, between pixels, and adds them up
          with its own weights: a bag of 4 * L * P places, summed without holding the samples.
Host      mmcv's ``ms_deform_attn_*``, which mmcv calls on CUDA (on a CPU it has a loop over the
          levels of its own)
Deviates  none known; the levels' sizes stay on the device
Letters   N images, S places of all levels, M heads, D channels a head, Q queries, L levels,
          P positions a level
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.gradients import gradients
from mmext.ops.sampling import add_up, between, corners
from mmext.ops.table import serves


def deformable_attention(
    value: Float[Tensor, "N S M D"],
    location: Float[Tensor, "N Q M L P 2"],
    attention: Float[Tensor, "N Q M L P"],
    sizes: Int[Tensor, "L 2"],
    starts: Int[Tensor, " L"],
) -> Float[Tensor, "N Q M*D"]:
    """Weighted sum of what each query reads.

    Args:
        value: the maps of all levels, one after the other.
        location: x and y of each position, from 0 to 1 between the outer edges of its level's map.
        attention: weight of each position.
        sizes: H and W of each level.
        starts: first place of each level.
    """
    (N, S, M, D), Q = value.shape, location.shape[1]
    H, W = sizes[:, 0, None], sizes[:, 1, None]  # (L, 1)
    x, y = location[..., 0] * W - 0.5, location[..., 1] * H - 0.5  # (N, Q, M, L, P)
    index, weight = corners(
        between(y, H.expand_as(y)), between(x, W.expand_as(x)), W[:, :, None, None]
    )
    image = torch.arange(N, device=value.device).reshape(N, 1, 1, 1, 1, 1)
    head = torch.arange(M, device=value.device).reshape(1, 1, M, 1, 1, 1)
    index = ((image * S + starts[:, None, None] + index) * M + head).reshape(N * Q * M, -1)
    weight = (weight * attention[..., None]).reshape(N * Q * M, -1)
    return add_up(value.reshape(N * S * M, D), index, weight).reshape(N, Q, M * D)


@serves("ms_deform_attn", "ms_deform_attn_forward")
def _forward(
    value: Tensor,
    sizes: Tensor,
    starts: Tensor,
    location: Tensor,
    attention: Tensor,
    im2col_step: int,
) -> Tensor:
    plain = [at_least_float32(one) for one in (value, location, attention)]
    return deformable_attention(plain[0], plain[1], plain[2], sizes, starts).to(value.dtype)


@serves("ms_deform_attn", "ms_deform_attn_backward")
def _backward(
    value: Tensor,
    sizes: Tensor,
    starts: Tensor,
    location: Tensor,
    attention: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_location: Tensor,
    grad_attention: Tensor,
    im2col_step: int,
) -> None:
    inputs = tuple(at_least_float32(one) for one in (value, location, attention))

    def attend(value: Tensor, location: Tensor, attention: Tensor) -> Tensor:
        return deformable_attention(value, location, attention, sizes, starts)

    found = gradients(attend, inputs, at_least_float32(grad_output))
    for target, one in zip((grad_value, grad_location, grad_attention), found, strict=True):
        target.copy_(one)
