"""Rows of DNL: the pairwise attention alone, and mmseg's whole head on the map of a large image.

Weights and inputs are the same for both sides. Queries, keys and values have 256 channels, as in
the paper's segmentation model.
"""

import os

import torch
from mmseg.models.decode_heads import DNLHead as MMSegDNLHead
from mmseg.models.decode_heads.dnl_head import DisentangledNonLocal2d as Upstream
from torch import Tensor, nn

from mmext.layers.disentangled_terms import pairwise_term
from mmext.segmentation.dnl import DNLHead

from .cases import Case, train

CHANNELS = 256
SCALE = 1 / (CHANNELS**0.5 * 0.05)


def _attention(side: str, places: int) -> tuple:
    """Attention as a function of queries, keys and values, and these."""
    block = Upstream(2 * CHANNELS, temperature=0.05)

    def upstream(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q = q - q.mean(1, keepdim=True)
        k = k - k.mean(1, keepdim=True)
        return block.embedded_gaussian(q, k.mT) @ v

    def ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return pairwise_term(q, k, v, scale=SCALE)

    # Strided, as a 1x1 convolution leaves them.
    qkv = [torch.randn(1, CHANNELS, places).mT for _ in range(3)]
    return {"ours": ours, "upstream": upstream}[side], qkv


def attention_inference(side: str) -> Case:
    """N = 9,409, a crop of 769 at stride 8.

    Targets: 0.1 of upstream's extra peak and 0.75 of its time.
    """
    attend, qkv = _attention(side, 97 * 97)

    def run() -> Tensor:
        with torch.no_grad():
            return attend(*qkv)

    return Case(run, run)


def attention_training(side: str) -> Case:
    """N = 4,096, forward and backward; the target is 0.2 of upstream's extra peak."""
    attend, qkv = _attention(side, 64 * 64)
    leaves = [x.requires_grad_() for x in qkv]
    return train(lambda: attend(*leaves).square().mean(), leaves)


def head_large(side: str) -> Case:
    """Whole head, image of 1024 x 2048 (N = 32,768), inference; ours must take less than 4 GiB.

    Upstream's needs two maps of N x N there, 8.6 GB. So its side is the head with the block left
    out, and the ratio tells what ours costs, unless MMEXT_BENCH_LARGE=1 is set. Take
    ``--repeats 1``: a call takes long.
    """
    sizes = dict(in_channels=2048, channels=512, num_classes=19, norm_cfg=dict(type="BN"))
    head = {"ours": DNLHead, "upstream": MMSegDNLHead}[side](**sizes).eval()
    if side == "upstream" and os.environ.get("MMEXT_BENCH_LARGE") != "1":
        head.dnl_block = nn.Identity()
    x = torch.randn(1, 2048, 128, 256)

    def run() -> Tensor:
        with torch.no_grad():
            return head([x])

    return Case(run, run)
