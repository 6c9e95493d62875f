"""The arithmetic of mmcv's ``MMSyncBN``; its communication is mmcv's own.

Host      mmcv's ``sync_bn_*``
Letters   N images, C channels, S places; statistics in float32 or better
"""

from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.table import serves


@serves("sync_bn", "sync_bn_forward_mean")
def _mean(input: Tensor, mean: Tensor) -> None:
    mean.copy_(at_least_float32(input).mean(dim=(0, 2)))


@serves("sync_bn", "sync_bn_forward_var")
def _variance(input: Tensor, mean: Tensor, var: Tensor) -> None:
    var.copy_((at_least_float32(input) - mean[:, None]).square().mean(dim=(0, 2)))


@serves("sync_bn", "sync_bn_forward_output")
def _output(
    input: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    norm: Tensor,
    std: Tensor,
    output: Tensor,
    eps: float,
    momentum: float | Tensor,
    group_size: int,
) -> None:
    std.copy_((var + eps).sqrt())
    norm.copy_((at_least_float32(input) - mean[:, None]) / std[:, None])
    output.copy_(norm * weight[:, None] + bias[:, None])
    count = input.shape[0] * input.shape[2] * group_size
    unbiased = var * (count / (count - 1)) if count > 1 else var
    # The momentum is a tensor here, which the compiled kernel would wait for.
    running_mean.copy_(momentum * mean + (1 - momentum) * running_mean)
    running_var.copy_(momentum * unbiased + (1 - momentum) * running_var)


@serves("sync_bn", "sync_bn_backward_param")
def _parameters(grad_output: Tensor, norm: Tensor, grad_weight: Tensor, grad_bias: Tensor) -> None:
    grad = at_least_float32(grad_output)
    grad_weight.copy_((grad * norm).sum(dim=(0, 2)))
    grad_bias.copy_(grad.sum(dim=(0, 2)))


@serves("sync_bn", "sync_bn_backward_data")
def _data(
    grad_output: Tensor,
    weight: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    norm: Tensor,
    std: Tensor,
    grad_input: Tensor,
) -> None:
    count = grad_output.shape[0] * grad_output.shape[2]
    pulled = (grad_weight[:, None] * norm + grad_bias[:, None]) / count
    grad_input.copy_(weight[:, None] / std[:, None] * (at_least_float32(grad_output) - pulled))
