"""Disentangled non-local block: what is like me and what matters to all, each with its own softmax.

Paper     DNL, Yin et al. 2020, https://arxiv.org/abs/2006.06668
Idea      y_i = sum_j (softmax_j((q_i - mean q) . (k_j - mean k)) + softmax_j(m_j)) v_j, added to
          x_i.
Host      mmcv's building blocks: a plug-in layer for the ResNets of mmdet and mmseg, a part of
          heads
Deviates  Keys keep their mean where the softmax over the keys takes it away again; sub-sampling
          pools first.
Letters   B images, C channels, *S the map (L, H W or T H W), N = its places, M = those of the keys,
          E = C / reduction channels of queries and keys, D channels of the values

Three blocks bear the paper's name; ``variant`` chooses, and each setting may be changed, as in the
paper's ablations. See mmext/layers/disentangled_variants.py.
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from mmcv.cnn import ConvModule, build_conv_layer
from mmengine.model import constant_init, normal_init
from torch import Tensor, nn

from mmext.layers.attention import additive_attention, product_attention
from mmext.layers.disentangled_terms import centred, pairwise_term, unary_term
from mmext.layers.disentangled_variants import adjusted, checked_terms, inner_channels
from mmext.registry import MODELS


def tokens(x: Float[Tensor, "B C *S"]) -> Float[Tensor, "B N C"]:
    """A map as a sequence of places."""
    return x.flatten(2).transpose(1, 2)


def as_map(y: Float[Tensor, "B N D"], size: tuple[int, ...]) -> Float[Tensor, "B D *S"]:
    """A sequence of places as a map of that size."""
    return y.transpose(1, 2).reshape(y.shape[0], y.shape[2], *size)


class Gate(nn.Linear):
    """A learnt factor that starts at zero.

    A leaf of a known kind on purpose: mmaction's TSMOptimWrapperConstructor looks only at leaves
    and refuses kinds that it does not know, so a bare parameter of the block would never be
    trained.
    """

    def __init__(self) -> None:
        super().__init__(1, 1, bias=False)

    def reset_parameters(self) -> None:
        """Start closed."""
        nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Scale ``x``."""
        return x * self.weight.reshape(()).to(x.dtype)


class DisentangledNonLocal(nn.Module):
    """What blocks for sequences, images and videos share; see :class:`DisentangledNonLocal2d`."""

    DIMS: int
    POOL: tuple[int, ...]
    _abbr_ = "dnl_block"

    def __init__(
        self,
        in_channels: int,
        *,
        variant: str = "paper",
        reduction: int | None = None,
        whiten: str | None = None,
        use_scale: bool | None = None,
        temperature: int | float | None = None,
        terms: Sequence[str] = ("pairwise", "unary"),
        mode: str = "embedded_gaussian",
        sub_sample: bool = False,
        attn_impl: str = "auto",
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        zeros_init: bool = True,
    ) -> None:
        super().__init__()
        self.variant = adjusted(
            variant,
            mode=mode,
            attn_impl=attn_impl,
            norm_cfg=norm_cfg,
            reduction=reduction,
            whiten=whiten,
            use_scale=use_scale,
            temperature=temperature,
        )
        self.terms = checked_terms(terms)
        self.inter_channels = inner_channels(in_channels, self.variant.reduction)
        self.in_channels = in_channels
        # As the hosts' blocks call them.
        self.reduction, self.use_scale = self.variant.reduction, self.variant.use_scale
        self.temperature = self.variant.temperature
        self.mode = mode
        self.sub_sample = sub_sample
        self.attn_impl = attn_impl
        self.zeros_init = zeros_init
        self._add_layers(conv_cfg or dict(type=f"Conv{self.DIMS}d"), norm_cfg)
        self.init_weights()

    def _add_layers(self, conv_cfg: dict[str, Any], norm_cfg: dict[str, Any] | None) -> None:
        C, E = self.in_channels, self.inter_channels

        def conv(out: int, **kwargs: Any) -> ConvModule:
            return ConvModule(C, out, 1, conv_cfg=conv_cfg, act_cfg=None, **kwargs)

        g = conv(C, bias=False) if self.variant.gated else conv(E)
        # Keys as in mmcv, where a subsampled g and phi are a Sequential with the pooling behind.
        self.g = nn.Sequential(g) if self.sub_sample else g
        if "pairwise" in self.terms:
            if self.mode != "gaussian":
                self.theta = conv(E)
                self.phi = nn.Sequential(conv(E)) if self.sub_sample else conv(E)
            if self.mode == "concatenation":
                self.concat_project = ConvModule(
                    2 * E, 1, 1, conv_cfg=conv_cfg, bias=False, act_cfg=None
                )
            if self.variant.gated:
                self.gate = Gate()
        if not self.variant.gated:
            self.conv_out = ConvModule(E, C, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None)
        if "unary" in self.terms:
            self.conv_mask = build_conv_layer(conv_cfg, C, 1, 1)
            self.keep_mask()

    def keep_mask(self) -> None:
        """Remember the mask that there is as the one to start from."""
        self.start_of_mask = {
            name: tensor.clone() for name, tensor in self.conv_mask.state_dict().items()
        }

    def init_weights(self) -> None:
        """Draw small weights.

        The paper's block starts as an identity; a gated one adds its unary term.

        The paper's mask goes back to what it was when the block was made, as mmseg leaves it.
        """
        for name in ("g", "theta", "phi"):
            if hasattr(self, name):
                layer = getattr(self, name)
                normal_init(
                    (layer[0] if isinstance(layer, nn.Sequential) else layer).conv, std=0.01
                )
        if self.variant.gated:
            if "unary" in self.terms:
                normal_init(self.conv_mask, std=0.01)
            if "pairwise" in self.terms:
                self.gate.reset_parameters()
            return
        if "unary" in self.terms:
            self.conv_mask.load_state_dict(self.start_of_mask)
        last = self.conv_out.norm if self.conv_out.with_norm else self.conv_out.conv
        if self.zeros_init:
            constant_init(last, 0)
        else:
            normal_init(last, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Add to each place what the map holds for it, and what it holds for all."""
        self._check(x)
        source = self._pooled(x) if self.sub_sample else x
        v = tokens(self.g(source))  # (B, M, D)
        terms = []
        if "pairwise" in self.terms:
            pairs = as_map(self._pairwise(x, source, v), x.shape[2:])  # (B, D, *S)
            terms.append(self.gate(pairs) if self.variant.gated else pairs)
        if "unary" in self.terms:
            for_all = unary_term(self.conv_mask(source).flatten(1), v)  # (B, 1, D)
            terms.append(as_map(for_all, (1,) * self.DIMS).expand(-1, -1, *x.shape[2:]))
        y = terms[0] + terms[1] if len(terms) == 2 else terms[0]
        return x + (y if self.variant.gated else self.conv_out(y))

    def _check(self, x: Tensor) -> None:
        if x.dim() != self.DIMS + 2 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"{type(self).__name__} takes (B, {self.in_channels}, "
                f"{'T, H, W'[-3 * self.DIMS + 2 :]}), got {tuple(x.shape)}"
            )

    def _pooled(self, x: Tensor) -> Tensor:
        """Half the places in height and width; a side of one pixel stays."""
        # DEVIATION: mmcv pools keys and values, mmseg forgets the mask; here, as in the authors'
        # code, all three are made of the pooled map.
        kernel = tuple(min(k, side) for k, side in zip(self.POOL, x.shape[2:], strict=True))
        return (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self.DIMS - 1](x, kernel)

    def _pairwise(self, x: Tensor, source: Tensor, v: Tensor) -> Tensor:
        """The pairwise term in the block's mode."""
        whiten, scale = self.variant.whiten, 1 / self.variant.temperature
        if self.mode == "gaussian":
            return pairwise_term(
                tokens(x), tokens(source), v, whiten=whiten, scale=scale, impl=self.attn_impl
            )
        q, k = tokens(self.theta(x)), tokens(self.phi(source))
        if self.mode == "embedded_gaussian":
            scale *= self.inter_channels**-0.5 if self.variant.use_scale else 1
            return pairwise_term(q, k, v, whiten=whiten, scale=scale, impl=self.attn_impl)
        # No softmax: the mean of the keys counts.
        q, k = centred(q, whiten) * scale, centred(k, whiten)
        if self.mode == "dot_product":
            return product_attention(q, k, v)
        of_query, of_key = self.concat_project.conv.weight.flatten().split(self.inter_channels)
        return additive_attention(q @ of_query, k @ of_key * scale, v, impl=self.attn_impl)


@MODELS.register_module()
class DisentangledNonLocal1d(DisentangledNonLocal):
    """The block for sequences (B, C, L); arguments as in :class:`DisentangledNonLocal2d`."""

    DIMS = 1
    POOL = (2,)


@MODELS.register_module()
class DisentangledNonLocal2d(DisentangledNonLocal):
    """The block for images (B, C, H, W), drop-in for mmseg's and for mmcv's NonLocal2d.

    Compared with mmcv's it has ``conv_mask`` more.

    Args:
        in_channels: channels of the map; the output has as many.
        variant: ``paper``, ``segmentation`` or ``detection``: whose block (table:
            disentangled_variants.py).
        reduction: queries and keys have ``in_channels // reduction`` channels. Default: the
            variant's.
        whiten: which mean is taken from queries and keys: ``channel``, ``scalar`` or ``none``.
            Default: the variant's.
        use_scale: divide logits by the root of their channels. Default: the variant's. If a gated
            variant is given another one, as by a config of mmseg's, a line in the log says so.
        temperature: divide logits by it. Default: the variant's with embedded Gaussians, else 1.
        terms: ``("pairwise", "unary")``, or one of them alone.
        mode: similarity of two places: ``embedded_gaussian`` is the paper's, and mmcv's others
            (``gaussian``, ``dot_product``, ``concatenation``), which have no scale.
        sub_sample: take keys and values from the map pooled by 2 in height and width.
        attn_impl: how pairs are compared, one of :data:`mmext.layers.attention.IMPLEMENTATIONS`.
        conv_cfg: kind of the convolutions.
        norm_cfg: norm behind the last convolution, which only the paper's variant has; ignored
            elsewhere.
        zeros_init: start as an identity, in the paper's variant.

    Raises:
        ValueError: an unknown word, a temperature that is not above 0, a block wider than its
            input, or a map of another shape.
    """

    DIMS = 2
    POOL = (2, 2)


@MODELS.register_module()
class DisentangledNonLocal3d(DisentangledNonLocal):
    """The block for videos (B, C, T, H, W), pairs over space and time, pooled in space only.

    Its arguments as in :class:`DisentangledNonLocal2d`.
    """

    DIMS = 3
    POOL = (1, 2, 2)
