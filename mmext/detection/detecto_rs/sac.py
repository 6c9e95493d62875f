"""SAC: a convolution that looks with two dilations and chooses between them place by place.

Paper     DetectoRS, Qiao et al. 2020, https://arxiv.org/abs/2006.02334
Idea      y = S * conv(x, W, d) + (1 - S) * conv(x, W + dW, 3 d): S is read off the 5 x 5 mean of x,
          both kernels start from one pretrained W, and the global mean of the map is added before
          and after.
Host      mmcv.ops.SAConv2d: the same keys and outputs (conv_cfg or sac type "mmext.SAC")
Deviates  The bias counts, maps below 3 x 3 work, and what is new starts neutral under any
          initialiser.
Letters   N images, C input and O output channels, H W map, S switch, T = kh * kw taps
"""

import copy
from collections.abc import Collection

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmext.detection.detecto_rs.aws import ConvAWS
from mmext.detection.detecto_rs.deform import BACKENDS, deform_conv2d, mmcv_kernel
from mmext.functional import at_least_float32
from mmext.ops.taps import Geometry, Pair
from mmext.registry import MODELS

REACH = 2  # the switch looks at a square of 2 * REACH + 1 pixels
ATROUS = 3  # the second look is this many times wider


def pad_mirrored(x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H4 W4"]:
    """Two pixels more on each side, mirrored at the border pixel."""
    # DEVIATION: a side of one or two pixels cannot be mirrored so far; there the border pixel is
    # repeated.
    vertical, horizontal = ("reflect" if size > REACH else "replicate" for size in x.shape[2:])
    if vertical == horizontal:
        return F.pad(x, (REACH,) * 4, mode=vertical)
    x = F.pad(x, (REACH, REACH, 0, 0), mode=horizontal)
    return F.pad(x, (0, 0, REACH, REACH), mode=vertical)


def local_mean(x: Float[Tensor, "N C H W"], stride: Pair = (1, 1)) -> Float[Tensor, "N C h w"]:
    """Mean of the 5 x 5 pixels around each place."""
    padded, side = pad_mirrored(x), 2 * REACH + 1
    # Without gradients two strips of five are cheaper than one square of twenty-five.
    if padded.requires_grad:
        return F.avg_pool2d(padded, side, stride)  # one pass keeps one map for backward
    down, right = stride
    return F.avg_pool2d(F.avg_pool2d(padded, (side, 1), (down, 1)), (1, side), (1, right))


def mix(
    small: Float[Tensor, "N O H W"],
    large: Float[Tensor, "N O H W"],
    switch: Float[Tensor, "N 1 H W"],
) -> Float[Tensor, "N O H W"]:
    """``S * small + (1 - S) * large``, written so that backward needs one map and the switch."""
    return torch.addcmul(large, switch.to(small.dtype), small - large)


class ConstantConv(nn.Module):
    """A convolution that starts out giving a constant; padded to keep the size of the map.

    On purpose no ``nn.Conv2d``: what fills all convolutions with random numbers passes it by, where
    it takes away upstream's identity at the start.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the kernel, odd.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W)."""
        return F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)

    def extra_repr(self) -> str:
        """Show shapes when printed."""
        out_channels, in_channels, kernel_size, _ = self.weight.shape
        return f"{in_channels}, {out_channels}, kernel_size={kernel_size}"


@MODELS.register_module()
class SAC(ConvAWS):
    """Switchable atrous convolution.

    A fresh one is the plain convolution of its weight; so is one that loaded the weight of such. In
    evaluation mode both kernels are computed once and kept.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the kernel; the paper's is 3.
        stride: step of the kernel.
        padding: zeros on each side; must keep the map's size, ``dilation * (kernel_size - 1) / 2``.
        dilation: distance of the kernel's taps in the small look; three times that in the large
            one.
        groups: blocks of channels that are convolved each for itself.
        bias: add a bias of each output channel.
        use_deform: let offsets, read off the same mean as the switch, move every tap.
        backend: what deforms: ``auto`` (mmcv's kernel on CUDA in float, PyTorch's ``grid_sample``
            in half precision, elsewhere and where mmcv has no ops), ``mmcv`` or ``grid_sample``.
            They agree in value; ``grid_sample`` needs no compiled ops, and torch.compile can look
            into it.

    Raises:
        ValueError: ``padding`` changes the size of the map, or ``backend`` is unknown.
        ImportError: ``backend`` is ``mmcv``, and mmcv has no compiled ops.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        use_deform: bool = False,
        backend: str = "auto",
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )
        self._check(backend, use_deform)
        self.use_deform = use_deform
        self.backend = backend
        self.weight_diff = nn.Parameter(torch.zeros_like(self.weight))
        self.switch = ConstantConv(in_channels, 1)
        self.pre_context = ConstantConv(in_channels, in_channels)
        self.post_context = ConstantConv(out_channels, out_channels)
        if use_deform:
            offsets = 2 * self.kernel_size[0] * self.kernel_size[1]
            self.offset_s = ConstantConv(in_channels, offsets, 3)
            self.offset_l = ConstantConv(in_channels, offsets, 3)
        self.init_weights()

    def _check(self, backend: str, use_deform: bool) -> None:
        same = tuple(d * (k - 1) / 2 for d, k in zip(self.dilation, self.kernel_size, strict=True))
        if self.padding != same:
            raise ValueError(
                "SAC needs padding that keeps the map's size, dilation * (kernel_size - 1) / 2 = "
                f"{same} for kernel_size={self.kernel_size} and dilation={self.dilation}, got "
                f"{self.padding}; the paper's layers have kernel_size=3 and padding=dilation"
            )
        if backend not in BACKENDS:
            raise ValueError(
                f"backend must be one of {BACKENDS}, got {backend!r}; 'auto' fits all machines"
            )
        if use_deform and backend == "mmcv":
            mmcv_kernel()

    def init_weights(self, loaded: Collection[str] = ()) -> None:
        """Act as a plain convolution with the present weight: call it after drawing random weights.

        Args:
            loaded: keys of this layer that a checkpoint brought; what they name is left alone.
        """
        super().init_weights(loaded)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name not in ("weight", "bias", *loaded):
                    parameter.fill_(1.0 if name == "switch.bias" else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, O, h, w)."""
        small_kernel, large_kernel = self.effective_weights()
        # Global context before and after: as in SENet, but one convolution, and added rather than
        # multiplied.
        x = x + self.pre_context(x.mean((2, 3), keepdim=True))
        look = self._look_deformed if self.use_deform else self._look
        y = mix(*look(x, small_kernel, large_kernel))
        return y + self.post_context(y.mean((2, 3), keepdim=True))

    def _look(
        self, x: Tensor, small_kernel: Tensor, large_kernel: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Small look, large look, switch."""
        # DEVIATION: mmcv leaves the bias out, here and in the deformed looks.
        # The mean commutes with a 1 x 1 convolution, so it need be taken of one channel only.
        switch = local_mean(self.switch(x), self.stride)
        small = F.conv2d(x, small_kernel, self.bias, *self._geometry(), self.groups)
        large = F.conv2d(x, large_kernel, self.bias, *self._geometry(ATROUS), self.groups)
        return small, large, switch

    def _look_deformed(
        self, x: Tensor, small_kernel: Tensor, large_kernel: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Small look, large look, switch; the taps moved by offsets."""
        x = at_least_float32(x)
        offset_s, offset_l, switch = self._controls(x)
        small = self._deformed(x, offset_s, small_kernel, self._geometry())
        large = self._deformed(x, offset_l, large_kernel, self._geometry(ATROUS))
        return small, large, switch

    def _deformed(self, x: Tensor, offset: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
        return deform_conv2d(
            x, offset, kernel, self.bias, geometry, groups=self.groups, backend=self.backend
        )

    def _geometry(self, times: int = 1) -> Geometry:
        """Where the taps lie, ``times`` as far apart as in the small look."""
        (pad_h, pad_w), (step_h, step_w) = self.padding, self.dilation
        return Geometry(
            self.stride, (times * pad_h, times * pad_w), (times * step_h, times * step_w)
        )

    def _controls(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Offsets of both looks and the switch, by one convolution, in float32 or better.

        The offsets' kernels are 3 x 3 with zeros around, so unlike the switch they need the mean
        first.
        """
        weight = torch.cat(
            [self.offset_s.weight, self.offset_l.weight, F.pad(self.switch.weight, (1,) * 4)]
        )
        bias = torch.cat([self.offset_s.bias, self.offset_l.bias, self.switch.bias])
        with torch.autocast(x.device.type, enabled=False):
            out = F.conv2d(
                local_mean(x), weight.to(x.dtype), bias.to(x.dtype), self.stride, padding=1
            )
        offset_s, offset_l, switch = out.split(
            [len(self.offset_s.bias), len(self.offset_l.bias), 1], dim=1
        )
        # A view would keep the offsets for backward with it.
        return offset_s, offset_l, switch.clone()

    def extra_repr(self) -> str:
        """Show arguments when printed."""
        return f"{super().extra_repr()}, use_deform={self.use_deform}, backend={self.backend!r}"

    def _sources(self) -> list[Tensor]:
        return [*super()._sources(), self.weight_diff]

    def _derive(self) -> tuple[Tensor, ...]:
        (weight,) = super()._derive()
        return weight, weight + self.weight_diff

    @torch.no_grad()
    def fuse(self) -> nn.Conv2d:
        """Fold what can be folded.

        A SAC that is still neutral (see :meth:`is_neutral`) becomes the plain convolution that it
        is. Any other stays a SAC whose ``weight`` is the standardised one, without ``weight_gamma``
        and ``weight_beta``: switch, contexts, offsets and both looks depend on the input, so they
        stay. Its weights load into an unfused SAC as well, and give the same output there.
        """
        if self.is_neutral():
            return super().fuse()
        fused = copy.deepcopy(self)
        fused.weight.copy_(self.effective_weights()[0])
        fused.weight_gamma = fused.weight_beta = None
        return fused

    def is_neutral(self) -> bool:
        """Whether it acts as a plain convolution: switch 1, contexts and small look's offsets 0."""
        zero = [self.switch.weight, *self.pre_context.parameters(), *self.post_context.parameters()]
        if self.use_deform:
            zero += self.offset_s.parameters()
        return bool((self.switch.bias == 1).all()) and not any(bool(t.any()) for t in zero)


def keep_identity(module: nn.Module, loaded: Collection[str] = ()) -> int:
    """Let every SAC and ConvAWS in ``module`` act as the plain convolution of its weight, again.

    For the end of a backbone's ``init_weights``, after weights were drawn at random or a checkpoint
    was loaded. Calling it twice is calling it once.

    Args:
        module: what holds such layers.
        loaded: keys of ``module`` that a checkpoint brought; what they name is left alone.

    Returns:
        The number of SACs that a checkpoint did not know, and that are neutral now.
    """
    new = 0
    for name, layer in module.named_modules():
        if isinstance(layer, ConvAWS):
            prefix = f"{name}." if name else ""
            own = {key.removeprefix(prefix) for key in loaded if key.startswith(prefix)}
            layer.init_weights(own)
            new += isinstance(layer, SAC) and "switch.weight" not in own
    return new
