"""Switchable atrous convolution as loops from the paper's equations: slow, one image, groups 1."""

import itertools
import math
import statistics

import torch

from mmext.detection.detecto_rs.sac import SAC


def standardized(weight, gamma, beta):
    """Filter by filter: gamma * (w - mean) / sqrt(variance + 1e-5) + beta."""
    out = torch.empty_like(weight)
    for o in range(len(weight)):
        values = weight[o].flatten().tolist()
        mean, spread = statistics.fmean(values), math.sqrt(statistics.variance(values) + 1e-5)
        for at in itertools.product(*map(range, weight.shape[1:])):
            out[(o, *at)] = (
                gamma[o].item() * (weight[(o, *at)].item() - mean) / spread + beta[o].item()
            )
    return out


def pixel(channel, row, col):
    """A whole pixel; zero outside."""
    H, W = channel.shape
    return channel[row, col].item() if 0 <= row < H and 0 <= col < W else 0.0


def between(channel, row, col):
    """Bilinear between the four pixels around."""
    top, left = math.floor(row), math.floor(col)
    down, right = row - top, col - left
    return sum(
        share_y * share_x * pixel(channel, top + dy, left + dx)
        for dy, share_y in ((0, 1 - down), (1, down))
        for dx, share_x in ((0, 1 - right), (1, right))
    )


def convolution(x, weight, stride, padding, dilation, offset=None):
    """Each output as a sum over channels and taps, moved by ``offset`` (2 T, h, w) if any."""
    filters, C, kh, kw = weight.shape
    h, w = (
        (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1
        for n, k in ((x.shape[1], kh), (x.shape[2], kw))
    )
    out = torch.zeros(filters, h, w, dtype=x.dtype)
    for o, c, i, j, ky, kx in itertools.product(*map(range, (filters, C, h, w, kh, kw))):
        row, col = i * stride - padding + ky * dilation, j * stride - padding + kx * dilation
        if offset is not None:
            t = ky * kw + kx
            row, col = row + offset[2 * t, i, j].item(), col + offset[2 * t + 1, i, j].item()
        out[o, i, j] += weight[o, c, ky, kx] * between(x[c], row, col)
    return out


def mirrored(n, size):
    """Index ``n`` mirrored at border pixels, or held there if the side is too short for that."""
    if size < 3:
        return min(max(n, 0), size - 1)
    return abs(n) if n < size else 2 * (size - 1) - n


def mean_5x5(x):
    """Mean of the 25 pixels around each, the map mirrored at its border."""
    C, H, W = x.shape
    out = torch.zeros_like(x)
    for c, i, j, dy, dx in itertools.product(
        range(C), range(H), range(W), range(-2, 3), range(-2, 3)
    ):
        out[c, i, j] += x[c, mirrored(i + dy, H), mirrored(j + dx, W)] / 25
    return out


def with_context(x, conv):
    """Add a linear function of the map's mean to every pixel."""
    mean = x.mean((1, 2))
    return x + (conv.weight[:, :, 0, 0] @ mean + conv.bias)[:, None, None]


@torch.no_grad()
def sac(layer: SAC, image):
    """The layer on one image (C, H, W), step by step as in the paper; groups 1."""
    stride, padding, dilation = layer.stride[0], layer.padding[0], layer.dilation[0]
    x = with_context(image, layer.pre_context)
    look = mean_5x5(x)
    S = convolution(look, layer.switch.weight, stride, 0, 1) + layer.switch.bias
    small = standardized(layer.weight, layer.weight_gamma, layer.weight_beta)
    offsets = dict.fromkeys("sl")
    if layer.use_deform:
        for kind in offsets:
            conv = getattr(layer, f"offset_{kind}")
            offsets[kind] = convolution(look, conv.weight, stride, 1, 1) + conv.bias[:, None, None]
    near = convolution(x, small, stride, padding, dilation, offsets["s"])
    far = convolution(x, small + layer.weight_diff, stride, 3 * padding, 3 * dilation, offsets["l"])
    y = S * near + (1 - S) * far
    if layer.bias is not None:
        y = y + layer.bias[:, None, None]
    return with_context(y, layer.post_context)
