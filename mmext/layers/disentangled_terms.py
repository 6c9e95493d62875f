"""The two terms of a disentangled non-local block.

Paper     DNL, Yin et al. 2020, https://arxiv.org/abs/2006.06568
Host      none
Deviates  Keys keep their mean where the softmax over the keys takes it away again.
Letters   B images, N places, M those of the keys, C channels, E those of queries and keys, D those
          of the values
"""

from jaxtyping import Float
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.layers.attention import softmax_attention
from mmext.layers.disentangled_variants import WHITEN


def centred(x: Float[Tensor, "B N C"], whiten: str = "channel") -> Float[Tensor, "B N C"]:
    """Take an image's mean away.

    Args:
        x: queries or keys.
        whiten: ``channel`` takes each channel's mean over the places, as in the paper; ``scalar``
            one mean over channels and places, as in the authors' segmentation code; ``none``
            nothing.
    """
    return x - x.mean(WHITEN[whiten], keepdim=True) if WHITEN[whiten] else x


def pairwise_term(
    q: Float[Tensor, "B N E"],
    k: Float[Tensor, "B M E"],
    v: Float[Tensor, "B M D"],
    *,
    whiten: str = "channel",
    scale: float = 1.0,
    impl: str = "auto",
) -> Float[Tensor, "B N D"]:
    """``sum_j softmax_j(scale (q_i - mean q) . (k_j - mean k)) v_j``.

    The mean of the keys adds the same to all logits of a query, whichever mean it is, and the
    softmax takes that away. So it is not subtracted, and the bias of the keys never learns.

    Args:
        q: queries.
        k: keys.
        v: values.
        whiten: which mean, see :func:`centred`.
        scale: of the logits; it goes into the queries, so that no product is larger than need be.
        impl: how, see :data:`mmext.layers.attention.IMPLEMENTATIONS`.
    """
    return softmax_attention(centred(q, whiten) * scale, k, v, impl=impl)


def unary_term(m: Float[Tensor, "B M"], v: Float[Tensor, "B M D"]) -> Float[Tensor, "B 1 D"]:
    """``sum_j softmax_j(m_j) v_j``: the same for all queries, so worked out once."""
    return at_least_float32(m).softmax(-1).to(v.dtype)[:, None] @ v
