"""CARAFE: upsampling by kernels that the content predicts.

Paper     CARAFE: Content-Aware ReAssembly of FEatures, Wang et al. 2019,
          https://arxiv.org/abs/1905.02188, Eq. 3
Idea      Each place of the larger map is a weighted sum of the k x k places around the one that it
          lies in. The taps are taken one after the other, so nothing larger than the output is
          held.
Host      mmcv's ``carafe_*`` and ``carafe_naive_*``, which are the same function
Letters   N images, C channels in G groups, H x W map, s scale, T = k * k taps
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.table import serves


def _blocks(
    x: Float[Tensor, "N C sH sW"], groups: int, scale: int
) -> Float[Tensor, "N G c H s W s"]:
    N, C, height, width = x.shape
    return x.reshape(N, groups, C // groups, height // scale, scale, width // scale, scale)


def _around(x: Float[Tensor, "N C H W"], kernel: int) -> list[Float[Tensor, "N C H W"]]:
    """The map as each tap sees it: shifted, with zeros outside."""
    half, (H, W) = (kernel - 1) // 2, x.shape[2:]
    padded = F.pad(x, (half,) * 4)
    return [padded[:, :, i : i + H, j : j + W] for i in range(kernel) for j in range(kernel)]


def carafe(
    x: Float[Tensor, "N C H W"],
    masks: Float[Tensor, "N GT sH sW"],
    kernel: int,
    groups: int,
    scale: int,
) -> Float[Tensor, "N C sH sW"]:
    """Reassemble a map.

    Args:
        x: the map.
        masks: weight of each tap at each place of the output, group after group.
        kernel: taps along one side, odd.
        groups: of channels that share their weights.
        scale: of the output.
    """
    (N, C, H, W), T = x.shape, kernel**2
    # (N, G, T, 1, H, s, W, s).
    weights = _blocks(masks, groups * T, scale).unflatten(1, (groups, T))
    # Each place of the map with its scale x scale places of the output: (N, G, c, H, s, W, s).
    out = x.new_zeros(N, groups, C // groups, H, scale, W, scale)
    for tap, seen in enumerate(_around(x, kernel)):
        out.addcmul_(weights[:, :, tap], _blocks(seen, groups, 1))
    return out.reshape(N, C, H * scale, W * scale)


def carafe_backward(
    grad: Float[Tensor, "N C sH sW"],
    x: Float[Tensor, "N C H W"],
    masks: Float[Tensor, "N GT sH sW"],
    kernel: int,
    groups: int,
    scale: int,
) -> tuple[Float[Tensor, "N C H W"], Float[Tensor, "N GT sH sW"]]:
    """Gradients for the map and the masks."""
    (H, W), T, half = x.shape[2:], kernel**2, (kernel - 1) // 2
    weights = _blocks(masks, groups * T, scale).unflatten(1, (groups, T))
    to_weights = weights.new_zeros(weights.shape)
    to_padded = x.new_zeros(*x.shape[:2], H + 2 * half, W + 2 * half)
    blocks = _blocks(grad, groups, scale)
    for tap, seen in enumerate(_around(x, kernel)):
        to_weights[:, :, tap] = (blocks * _blocks(seen, groups, 1)).sum(dim=2, keepdim=True)
        i, j = divmod(tap, kernel)
        # All places of the output that read this pixel as this tap, put where the tap lies.
        back = (blocks * weights[:, :, tap]).sum(dim=(4, 6)).reshape(x.shape)
        to_padded[:, :, i : i + H, j : j + W] += back
    return to_padded[:, :, half : half + H, half : half + W], to_weights.reshape(masks.shape)


@serves("carafe_naive", "carafe_naive_forward")
def _naive_forward(
    features: Tensor,
    masks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    x, masks = at_least_float32(features), at_least_float32(masks)
    output.copy_(carafe(x, masks, kernel_size, group_size, scale_factor))


@serves("carafe_naive", "carafe_naive_backward")
def _naive_backward(
    top_grad: Tensor,
    features: Tensor,
    masks: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    grad, x, masks = (at_least_float32(one) for one in (top_grad, features, masks))
    to_features, to_masks = carafe_backward(grad, x, masks, kernel_size, group_size, scale_factor)
    bottom_grad.copy_(to_features)
    mask_grad.copy_(to_masks)


@serves("carafe", "carafe_forward")
def _forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    # mmcv keeps this one for backward, in its kernel's own order; ours needs none.
    rfeatures.copy_(features)
    _naive_forward(features, masks, output, kernel_size, group_size, scale_factor)


@serves("carafe", "carafe_backward")
def _backward(
    top_grad: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rtop_grad: Tensor,
    rbottom_grad_hs: Tensor,
    rbottom_grad: Tensor,
    rmask_grad: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    _naive_backward(
        top_grad, rfeatures, masks, bottom_grad, mask_grad, kernel_size, group_size, scale_factor
    )
