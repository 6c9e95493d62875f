"""ConvAWS: a convolution whose filters keep the mean and spread of the pretrained ones.

Paper     DetectoRS, Qiao et al. 2020, https://arxiv.org/abs/2006.02334
Idea      Filter by filter, W_eff = gamma * (W - mean) / sd + beta with constant gamma and beta, so
          that fine-tuning cannot let a filter drift off in mean or size.
Host      mmcv.cnn.ConvAWS2d: the same keys and outputs (conv_cfg type "mmext.ConvAWS")
Letters   O filters, I input channels of a group, kh kw kernel
"""

from collections.abc import Callable, Collection
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmext.functional import at_least_float32
from mmext.registry import MODELS

EPS = 1e-5


def filter_statistics(
    weight: Float[Tensor, "O I kh kw"],
) -> tuple[Float[Tensor, "O 1 1 1"], Float[Tensor, "O 1 1 1"]]:
    """Mean and ``sqrt(variance + 1e-5)`` of each filter, variance unbiased, in float32 or better.

    A filter of a single weight has no spread: mean 0 and spread 1, so that standardising leaves it
    alone.
    """
    w = at_least_float32(weight)
    if w.shape[1:].numel() == 1:
        return torch.zeros_like(w), torch.ones_like(w)  # DEVIATION: mmcv divides 0 by 0 here
    var, mean = torch.var_mean(w, dim=(1, 2, 3), keepdim=True)
    return mean, (var + EPS).sqrt()


def standardize(
    weight: Float[Tensor, "O I kh kw"],
    gamma: Float[Tensor, "O 1 1 1"],
    beta: Float[Tensor, "O 1 1 1"],
) -> Float[Tensor, "O I kh kw"]:
    """``gamma * (W - mean) / sd + beta`` in one pass over ``weight``, in its dtype.

    Example:
        >>> gamma, beta = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
        >>> standardize(torch.tensor([[[[1.0, 3.0]]]]), gamma, beta)
        tensor([[[[-0.7071,  0.7071]]]])
    """
    mean, sd = filter_statistics(weight)
    scale = gamma / sd
    return torch.addcmul(beta - scale * mean, scale, at_least_float32(weight)).to(weight.dtype)


class KeptTensors:
    """What a layer computes from its tensors, kept until one of those changes.

    A change in place shows in a tensor's version, any other in its address, device or dtype.
    Writing through ``.data`` shows in none of these, so layers also drop what is kept when their
    mode changes, when they move and when they load. Copies and pickles start empty.
    """

    def __init__(self) -> None:
        self._kept: tuple[list[tuple], list[Tensor], tuple[Tensor, ...]] | None = None

    def get(
        self, sources: Collection[Tensor], compute: Callable[[], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """Return what ``compute`` gave, called anew only if ``sources`` changed since."""
        # Tensors made in inference mode are of no use to a graph, so the mode counts as well.
        mode = torch.is_inference_mode_enabled()
        stamp = [(t.data_ptr(), t._version, t.device, t.dtype, mode) for t in sources]
        kept = self._kept
        if kept is None or kept[0] != stamp:
            # The detached sources keep their memory alive, so that no other tensor can get its
            # address.
            kept = self._kept = (stamp, [t.detach() for t in sources], compute())
        return kept[2]

    def drop(self) -> None:
        """Forget what is kept."""
        self._kept = None

    def __reduce__(self) -> tuple[type, tuple]:
        return KeptTensors, ()


@MODELS.register_module()
class ConvAWS(nn.Conv2d):
    """Convolution with adaptively standardised weights.

    ``weight_gamma`` and ``weight_beta`` are buffers. A checkpoint that has them sets them; one that
    has only the weight of a plain convolution sets them to that weight's statistics, and the layer
    acts as that convolution. A fresh layer does so too.

    In evaluation mode and wherever no gradient is asked for, the standardised weight is computed
    once and kept until the weight changes.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the kernel.
        stride: step of the kernel.
        padding: zeros added on each side.
        dilation: distance of the kernel's taps.
        groups: blocks of channels that are convolved each for itself.
        bias: add a bias of each output channel.
    """

    weight_gamma: Tensor | None
    weight_beta: Tensor | None
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups=groups,
            bias=bias,
        )
        self.register_buffer("weight_gamma", torch.ones(out_channels, 1, 1, 1))
        self.register_buffer("weight_beta", torch.zeros(out_channels, 1, 1, 1))
        self._kept = KeptTensors()
        # DEVIATION: mmcv starts with gamma 1 and beta 0, filters so large that a random net's maps
        # reach 1e4.
        self._adopt_statistics()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) with the standardised weight."""
        return self._conv_forward(x, self.effective_weights()[0], self.bias)

    def effective_weights(self) -> tuple[Tensor, ...]:
        """Return the weights that convolve the input, kept from an earlier call where possible."""
        sources = self._sources()
        if self._may_keep(sources):
            return self._kept.get(sources, self._derive)
        return self._derive()

    def _sources(self) -> list[Tensor]:
        return [t for t in (self.weight, self.weight_gamma, self.weight_beta) if t is not None]

    def _derive(self) -> tuple[Tensor, ...]:
        if self.weight_gamma is None or self.weight_beta is None:
            return (self.weight,)  # folded, see SAC.fuse
        return (standardize(self.weight, self.weight_gamma, self.weight_beta),)

    def _may_keep(self, sources: Collection[Tensor]) -> bool:
        if self.training or torch.compiler.is_compiling():
            return False
        if torch.is_grad_enabled() and any(t.requires_grad for t in sources):
            return False
        # Whoever puts another tensor in the weight's place (torch.func, FSDP, a parametrization)
        # does it anew in every call; and inference tensors count no versions.
        return type(self.weight) is nn.Parameter and not any(t.is_inference() for t in sources)

    def init_weights(self, loaded: Collection[str] = ()) -> None:
        """Act as a plain convolution with the present weight: call it after drawing random weights.

        Args:
            loaded: keys of this layer that a checkpoint brought; what they name is left alone.
        """
        if "weight_gamma" not in loaded:
            self._adopt_statistics()

    @torch.no_grad()
    def _adopt_statistics(self) -> None:
        """Set gamma and beta so that the standardised weight is the weight."""
        if self.weight_gamma is not None and self.weight_beta is not None:
            mean, sd = filter_statistics(self.weight)
            self.weight_gamma.copy_(sd)
            self.weight_beta.copy_(mean)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        self._kept.drop()
        missing: list[str] = []
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing, unexpected_keys, error_msgs
        )
        weight = state_dict.get(prefix + "weight")
        statistics = {prefix + "weight_gamma", prefix + "weight_beta"}
        # DEVIATION: mmcv recomputes gamma and beta even if the checkpoint says nothing of this
        # layer.
        if (
            weight is not None
            and weight.shape == self.weight.shape
            and not statistics & state_dict.keys()
        ):
            self._adopt_statistics()
            missing = [key for key in missing if key not in statistics]
        missing_keys.extend(missing)

    def train(self, mode: bool = True) -> Any:
        """Choose training or evaluation mode; drops the kept weight."""
        self._kept.drop()
        return super().train(mode)

    def _apply(self, fn: Callable, recurse: bool = True) -> Any:
        self._kept.drop()
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def fuse(self) -> nn.Conv2d:
        """Return a plain convolution with the same output."""
        weight = self.effective_weights()[0]
        plain = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            bias=False,
        )
        plain.weight = nn.Parameter(weight.clone(), requires_grad=self.weight.requires_grad)
        if self.bias is not None:
            plain.bias = nn.Parameter(self.bias.clone(), requires_grad=self.bias.requires_grad)
        return plain.train(self.training)
