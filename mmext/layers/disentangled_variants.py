"""Which disentangled non-local block: the published variants, and what may be asked of each.

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

E is the number of channels of queries and keys, C that of the map.
"""

from dataclasses import dataclass, replace
from typing import Any

from mmext.layers.attention import IMPLEMENTATIONS

MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")
"""Similarities of two places, as mmcv's non-local blocks call them. The paper's is the first."""

PAPERS_OWN = ("use_scale", "temperature", "norm_cfg")
"""What only the paper's variant leaves open."""

WHITEN = {"channel": (1,), "scalar": (1, 2)}
"""Which mean is taken away from (B, N, E), and over which of its axes."""


@dataclass(frozen=True)
class Variant:
    """What the published blocks differ in."""

    reduction: int
    whiten: str
    use_scale: bool
    temperature: float
    gated: bool  # values keep C channels, a gate scales the pairwise term, and no convolution follows


VARIANTS = {
    "paper": Variant(reduction=2, whiten="channel", use_scale=True, temperature=0.05, gated=False),
    "segmentation": Variant(reduction=2, whiten="scalar", use_scale=False, temperature=1.0, gated=True),
    "detection": Variant(reduction=4, whiten="channel", use_scale=True, temperature=0.05, gated=True),
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

    Args:
        variant: a key of :data:`VARIANTS`.
        mode: one of :data:`MODES`.
        attn_impl: one of :data:`mmext.layers.attention.IMPLEMENTATIONS`.
        norm_cfg: the norm behind the way out; only checked.
        asked: fields of :class:`Variant`; None is the variant's own.

    Raises:
        ValueError: an unknown word, or a combination that makes no sense or that nobody published.
    """
    known("variant", variant, tuple(VARIANTS))
    known("mode", mode, MODES)
    known("attn_impl", attn_impl, IMPLEMENTATIONS)
    asked = {name: value for name, value in asked.items() if value is not None}
    _check_whiten(variant, asked.get("whiten", VARIANTS[variant].whiten))
    if VARIANTS[variant].gated:
        _check_gated(variant, mode, {**asked, "norm_cfg": norm_cfg})
    if mode != MODES[0] and "temperature" in asked:
        raise ValueError(f"temperature belongs to mode={MODES[0]!r}, got mode={mode!r}; leave it out")
    if asked.get("temperature", 1) <= 0:
        raise ValueError(f"temperature must be above 0, got {asked['temperature']}")
    return replace(VARIANTS[variant], **asked)


def _check_whiten(variant: str, whiten: str) -> None:
    known("whiten", whiten, tuple(WHITEN))
    if whiten != VARIANTS[variant].whiten and variant != "segmentation":
        raise ValueError(
            f"variant={variant!r} goes with whiten={VARIANTS[variant].whiten!r}, got {whiten!r}; "
            "only variant='segmentation' was published with both"
        )


def _check_gated(variant: str, mode: str, asked: dict[str, Any]) -> None:
    foreign = [
        f"{name}={value!r}" for name, value in asked.items() if value is not None and name in PAPERS_OWN
    ]
    if mode != MODES[0]:
        foreign.append(f"mode={mode!r}")
    if foreign:
        raise ValueError(
            f"variant={variant!r} has fixed logits and no convolution behind them, got {', '.join(foreign)}; "
            "leave that out, or use variant='paper'"
        )


def inner_channels(in_channels: int, reduction: int | float) -> int:
    """Channels of queries and keys.

    Raises:
        ValueError: more than the input has, or none.
    """
    if not isinstance(reduction, int) or not 1 <= reduction <= in_channels:
        raise ValueError(
            f"reduction must be a whole number from 1 to in_channels={in_channels}, got {reduction}: inside, "
            "the block has in_channels // reduction channels, at least one and no more than its input"
        )
    return in_channels // reduction
