"""Attention that never holds the N x M matrix of all pairs, with and without a softmax.

Host      none: torch alone
Letters   B images, N queries, M keys, C their channels, D channels of the values
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmext.functional import at_least_float32, elements_a_block

IMPLEMENTATIONS = ("auto", "sdpa", "chunk", "matmul")
"""How attention is worked out; the result is the same.

``sdpa`` is torch's fused kernel, ``chunk`` takes some queries at a time and does them again in
backward, ``matmul`` holds the whole matrix. ``auto`` takes ``matmul`` for an export. Where the
values are wider than the queries the fused kernel compares all pairs once for every C channels of
them: then ``auto`` takes ``matmul`` for up to :data:`FEW_PAIRS`, and for more ``chunk`` on a CPU.
It takes ``sdpa`` else.
"""

FEW_PAIRS = 2**22
"""Pairs of a batch whose matrix is small enough to be held: 16 MB in float32.

A map of 25 x 42 places, the last of an image of 800 x 1333 pixels, has 1.1 million.
"""


def softmax_attention(
    q: Float[Tensor, "B N C"],
    k: Float[Tensor, "B M C"],
    v: Float[Tensor, "B M D"],
    *,
    impl: str = "auto",
) -> Float[Tensor, "B N D"]:
    """``sum_j softmax_j(q_i . k_j) v_j``. A scale belongs in ``q``: that also keeps float16 finite.

    Args:
        q: queries.
        k: keys.
        v: values.
        impl: one of :data:`IMPLEMENTATIONS`.

    Raises:
        ValueError: an unknown ``impl``.
    """
    impl = chosen(impl, q, v)
    if impl == "sdpa":
        return fused(q, k, v)

    def attend(q: Tensor) -> Tensor:
        return at_least_float32(q @ k.transpose(1, 2)).softmax(-1).to(v.dtype) @ v

    return attend(q) if impl == "matmul" else in_chunks(attend, q, k.shape[1])


def product_attention(
    q: Float[Tensor, "B N C"], k: Float[Tensor, "B M C"], v: Float[Tensor, "B M D"]
) -> Float[Tensor, "B N D"]:
    """``sum_j (q_i . k_j) v_j / M``, no softmax: keys meet values first, in a C x D matrix."""
    # Half of the divisor each: in float16 v / M would fall below its numbers.
    share = v.shape[1] ** -0.5
    return q @ ((k * share).transpose(1, 2) @ (v * share))


def additive_attention(
    a: Float[Tensor, "B N"],
    b: Float[Tensor, "B M"],
    v: Float[Tensor, "B M D"],
    *,
    impl: str = "auto",
) -> Float[Tensor, "B N D"]:
    """``sum_j relu(a_i + b_j) v_j / M``: concatenation of non-local networks, split into halves.

    Raises:
        ValueError: an unknown ``impl``, or the fused kernel, which has a softmax.
    """
    if impl == "sdpa":
        raise ValueError(
            "attn_impl='sdpa' has a softmax and concatenation has none; use 'chunk' or 'auto'"
        )
    impl = chosen(impl, a[..., None], v)
    share = v.shape[1] ** -0.5  # as in product_attention; it passes through the ReLU
    a, b, v = a * share, b * share, v * share

    def attend(a: Tensor) -> Tensor:
        return F.relu(a[..., None] + b[:, None]) @ v

    return attend(a) if impl == "matmul" else in_chunks(attend, a, b.shape[1])


def chosen(impl: str, q: Float[Tensor, "B N C"], v: Float[Tensor, "B M D"]) -> str:
    """What ``auto`` means for these tensors.

    Raises:
        ValueError: an unknown ``impl``.
    """
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"attn_impl must be one of {IMPLEMENTATIONS}, got {impl!r}")
    if impl != "auto":
        return impl
    if torch.onnx.is_in_onnx_export() or torch.compiler.is_exporting():
        return "matmul"
    if v.shape[2] <= q.shape[2]:
        return "sdpa"
    if q.shape[0] * q.shape[1] * v.shape[1] <= FEW_PAIRS:
        return "matmul"
    return "chunk" if v.device.type == "cpu" else "sdpa"


def fused(
    q: Float[Tensor, "B N C"], k: Float[Tensor, "B M C"], v: Float[Tensor, "B M D"]
) -> Float[Tensor, "B N D"]:
    """Torch's fused attention, which needs values as wide as queries: cut them, pad the rest."""
    width, channels = q.shape[2], v.shape[2]
    q, k = q[:, None].contiguous(), k[:, None].contiguous()  # strided ones fall back to the matrix
    v = F.pad(v, (0, -channels % width))
    parts = [
        F.scaled_dot_product_attention(q, k, part[:, None].contiguous(), scale=1.0)[:, 0]
        for part in v.split(width, 2)
    ]
    return (parts[0] if len(parts) == 1 else torch.cat(parts, 2))[..., :channels]


def in_chunks(attend: Callable[[Tensor], Tensor], q: Float[Tensor, "B N *C"], keys: int) -> Tensor:
    """``attend`` on some queries at a time; backward does each chunk's forward again."""
    chunks = q.split(max(1, elements_a_block(q.device) // (q.shape[0] * keys)), 1)
    if torch.is_grad_enabled():
        return torch.cat([checkpoint(attend, chunk, use_reentrant=False) for chunk in chunks], 1)
    return torch.cat([attend(chunk) for chunk in chunks], 1)
