"""DNL for segmentation: mmseg's head with a block that needs no matrix of all pairs.

Paper     DNL, Yin et al. 2020, https://arxiv.org/abs/2006.06668
Idea      Two softmaxes over all places: one for what is like a place, one for what matters to all
          of them.
Host      mmseg.DNLHead: the same keys and, with the paper's block, the same outputs
Deviates  The authors' own block is a variant. See mmext/layers/disentangled_non_local.py.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models.decode_heads import DNLHead as MMSegDNLHead

from mmext.layers.disentangled_non_local import DisentangledNonLocal2d
from mmext.registry import MODELS


@MODELS.register_module()
class DNLHead(MMSegDNLHead):
    """Segmentation head: disentangled non-local block between two 3x3 convolutions, classifier.

    Args:
        variant: whose block; see
            :class:`mmext.layers.disentangled_non_local.DisentangledNonLocal2d`, as for the
            arguments that follow. The authors' is ``segmentation``.
        reduction: the block has ``channels // reduction`` channels inside. Default: the
            variant's, 2.
        whiten: which mean is taken from queries and keys.
        use_scale: divide logits by the root of their channels. None for the variant's own, which is
            no with the authors' segmentation block; mmseg's configs set it to yes.
        temperature: divide logits by it.
        terms: both terms, or one alone.
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
        temperature: int | float | None = None,
        terms: Sequence[str] = ("pairwise", "unary"),
        mode: str = "embedded_gaussian",
        sub_sample: bool = False,
        attn_impl: str = "auto",
        **host_cfg: Any,
    ) -> None:
        own = dict(reduction=reduction, use_scale=use_scale, temperature=temperature)
        asked: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
        super().__init__(mode=mode, **asked, **host_cfg)
        hosts = self.get_submodule("dnl_block")
        # The same seed gives the start that mmseg's head has, in all of the model.
        with torch.random.fork_rng(devices=[]):
            self.dnl_block = DisentangledNonLocal2d(
                self.channels,
                variant=variant,
                whiten=whiten,
                terms=terms,
                mode=mode,
                sub_sample=sub_sample,
                attn_impl=attn_impl,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg if variant == "paper" else None,
                **asked,
            )
        if self.dnl_block.state_dict().keys() == hosts.state_dict().keys():
            self.dnl_block.load_state_dict(hosts.state_dict())
            self.dnl_block.keep_mask()
        # What the host's constructor noted down about its own block.
        self.reduction, self.use_scale = self.dnl_block.reduction, self.dnl_block.use_scale
        self.temperature = self.dnl_block.temperature
