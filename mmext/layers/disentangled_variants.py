"""Which disentangled non-local block: the published variants, and what may be changed about each.

Paper     DNL, Yin et al. 2020, https://arxiv.org/abs/2006.06668
Host      none: numbers and sentences

=============  =========================  ============  ======  ========================  =========
variant        whose                      mean over     logits  values and way out        reduction
=============  =========================  ============  ======  ========================  =========
paper          formula, mmseg             places        20/√E   C to E, conv and norm     2
segmentation   authors' segmentation      places and    1       C, gate on the pairs      2
               code                       channels
detection      authors' detection code    places        20/√E   C, gate on the pairs      4
=============  =========================  ============  ======  ========================  =========

E is the number of channels of queries and keys, C that of the map. Each setting may be another one,
as in the paper's ablations: one term alone, no whitening, either mean, any temperature, any
similarity.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmengine.logging import print_log

from mmext.layers.attention import IMPLEMENTATIONS

MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")
"""Similarities of two places, as mmcv's non-local blocks call them. The paper's is the first."""

TERMS = ("pairwise", "unary")
"""What a place gets: what is like it, and what matters to all places."""

WHITEN: dict[str, tuple[int, ...]] = {"channel": (1,), "scalar": (1, 2), "none": ()}
"""Which mean is taken away from (B, N, E), and over which of its axes."""


@dataclass(frozen=True)
class Variant:
    """What the published blocks differ in."""

    reduction: int
    whiten: str
    use_scale: bool
    temperature: float
    gated: bool  # values keep C channels, a gate scales the pairwise term, no convolution follows


VARIANTS = {
    "paper": Variant(reduction=2, whiten="channel", use_scale=True, temperature=0.05, gated=False),
    "segmentation": Variant(
        reduction=2, whiten="scalar", use_scale=False, temperature=1.0, gated=True
    ),
    "detection": Variant(
        reduction=4, whiten="channel", use_scale=True, temperature=0.05, gated=True
    ),
}


def known(name: str, value: str, words: tuple[str, ...]) -> None:
    """Refuse a word that is not among ``words``.

    Raises:
        ValueError: it is not.
    """
    if value not in words:
        raise ValueError(f"{name} must be one of {words}, got {value!r}")


def adjusted(variant: str, *, mode: str, attn_impl: str, norm_cfg: Any, **asked: Any) -> Variant:
    """The variant, with what is asked for in place of its own.

    Temperature and scale are the paper's for embedded Gaussians. The other similarities have
    neither, as in mmseg, unless a temperature is asked for.

    Args:
        variant: a key of :data:`VARIANTS`.
        mode: one of :data:`MODES`.
        attn_impl: one of :data:`mmext.layers.attention.IMPLEMENTATIONS`.
        norm_cfg: the norm behind the way out; a line in the log says if there is none.
        asked: fields of :class:`Variant`; None is the variant's own.

    Raises:
        ValueError: an unknown word, or a temperature that is not above 0.
    """
    known("variant", variant, tuple(VARIANTS))
    known("mode", mode, MODES)
    known("attn_impl", attn_impl, IMPLEMENTATIONS)
    own = VARIANTS[variant]
    asked = {name: value for name, value in asked.items() if value is not None}
    known("whiten", asked.get("whiten", own.whiten), tuple(WHITEN))
    if "temperature" in asked:
        asked["temperature"] = float(asked["temperature"])
        if asked["temperature"] <= 0:
            raise ValueError(f"temperature must be above 0, got {asked['temperature']}")
    if own.gated:
        _warn_of_stock_settings(variant, norm_cfg, asked.get("use_scale", own.use_scale))
    return replace(own, **(dict(temperature=1.0) if mode != MODES[0] else {}) | asked)


def _warn_of_stock_settings(variant: str, norm_cfg: Any, use_scale: bool) -> None:
    """Say what a config of mmseg's or mmcv's block sets that the authors' block has otherwise."""
    said = []
    if norm_cfg is not None:
        said.append("norm_cfg is ignored: the block has no convolution behind")
    if use_scale != VARIANTS[variant].use_scale:
        said.append(f"use_scale={use_scale} is not the published block's; use_scale=None is")
    if said:
        print_log(
            f"variant={variant!r}: {'; '.join(said)}", logger="current", level=logging.WARNING
        )


def checked_terms(terms: Sequence[str]) -> tuple[str, ...]:
    """The terms of a block.

    Raises:
        ValueError: none, or an unknown word.
    """
    if not terms or isinstance(terms, str):
        raise ValueError(
            f"terms must be some of {TERMS}, got {terms!r}; write ('unary',) for one alone"
        )
    for term in terms:
        known("terms", term, TERMS)
    return tuple(terms)


def inner_channels(in_channels: int, reduction: int | float) -> int:
    """Channels of queries and keys.

    Raises:
        ValueError: more than the input has, or none.
    """
    if not isinstance(reduction, int) or not 1 <= reduction <= in_channels:
        raise ValueError(
            f"reduction must be a whole number from 1 to in_channels={in_channels}, got "
            f"{reduction}: inside, the block has in_channels // reduction channels, at least one "
            "and no more than its input"
        )
    return in_channels // reduction
