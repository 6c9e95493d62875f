"""DNL for segmentation: mmseg's head with a block that needs no matrix of all pairs.

Paper     DNL, Yin et al. 2020, https://arxiv.org/abs/2006.06668
Idea      Two softmaxes over all places: one for what is like a place, one for what matters to all of them.
Host      mmseg.DNLHead: the same keys and, with the paper's block, the same outputs
Deviates  The authors' own block is a variant. See mmext/layers/disentangled_non_local.py.
"""

from typing import Any

from mmseg.models.decode_heads import DNLHead as MMSegDNLHead

from mmext.layers.disentangled_non_local import DisentangledNonLocal2d
from mmext.registry import MODELS


@MODELS.register_module()
class DNLHead(MMSegDNLHead):
    """Segmentation head: 3x3 convolution, disentangled non-local block, 3x3 convolution, classifier.

    Args:
        variant: whose block; see :class:`mmext.layers.disentangled_non_local.DisentangledNonLocal2d`, as for
            the arguments that follow. The authors' is ``segmentation``.
        reduction: the block has ``channels // reduction`` channels inside. Default: the variant's, 2.
        whiten: ``channel`` for the authors' other configuration.
        use_scale: divide logits by the root of their channels; for the paper's block.
        temperature: divide logits by it; for the paper's block with embedded Gaussians.
        mode: similarity of two places.
        sub_sample: take keys and values from the map at half its size.
        attn_impl: how pairs are compared.
        host_cfg: every other argument of ``mmseg.DNLHead``.
    """

    def __init__(
        self,
        *,
        variant: str = "paper",
        reduction: int | None = None,
        whiten: str | None = None,
        use_scale: bool | None = None,
        temperature: float | None = None,
        mode: str = "embedded_gaussian",
        sub_sample: bool = False,
        attn_impl: str = "auto",
        **host_cfg: Any,
    ) -> None:
        super().__init__(**host_cfg)
        self.dnl_block = DisentangledNonLocal2d(
            self.channels,
            variant=variant,
            reduction=reduction,
            whiten=whiten,
            use_scale=use_scale,
            temperature=temperature,
            mode=mode,
            sub_sample=sub_sample,
            attn_impl=attn_impl,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg if variant == "paper" else None,
        )
        # What the host's constructor noted down about its own block.
        self.reduction = self.dnl_block.variant.reduction
        self.use_scale, self.mode = self.dnl_block.variant.use_scale, mode
        self.temperature = self.dnl_block.variant.temperature
