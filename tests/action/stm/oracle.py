"""STM written slowly from its equations: loops over clips, frames and channels, with no shift."""

import torch
from torch.nn import functional as F


def temporal_conv(x, weight):
    """Each output is a sum over the taps that lie inside the clip; x is (B, T, C, H, W)."""
    y = torch.zeros_like(x)
    for b in range(x.shape[0]):
        for t in range(x.shape[1]):
            for c in range(x.shape[2]):
                for tap in range(3):
                    if 0 <= t + tap - 1 < x.shape[1]:
                        y[b, t, c] += weight[c, tap] * x[b, t + tap - 1, c]
    return y


def motion(x, branch, num_segments):
    """The motion branch on (B T, C, H, W), frame by frame."""
    out = []
    features = branch.bn(F.conv2d(x, branch.reduce.weight))
    for start in range(0, len(x), num_segments):
        clip = features[start : start + num_segments]
        for t in range(num_segments):
            if t + 1 < num_segments:
                looked = F.conv2d(
                    clip[t + 1 : t + 2], branch.dw.weight, padding=1, groups=clip.shape[1]
                )
                difference = looked - clip[t : t + 1]
            else:
                difference = torch.zeros_like(clip[:1])
            out.append(F.conv2d(difference, branch.expand.weight))
    return torch.cat(out)


def as_conv1d(x, weight):
    """The usual way: (B H W, C, T) through a depthwise convolution."""
    B, T, C, H, W = x.shape
    rows = x.permute(0, 3, 4, 2, 1).reshape(-1, C, T)
    rows = F.conv1d(rows, weight[:, None], padding=1, groups=C)
    return rows.view(B, H, W, C, T).permute(0, 4, 3, 1, 2).contiguous()
