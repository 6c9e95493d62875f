"""Whole classifiers of the tests, and how their cost is counted."""

import hashlib
import math
import zlib

import numpy as np
import torch
from torch import nn

from mmext.classification.fbnetv3.arch import ARCHS
from mmext.classification.fbnetv3.backbone import FBNetV3
from mmext.classification.fbnetv3.head import FBNetV3Head
from mmext.measure import flops

TINY = dict(
    stem=8,
    stages=[
        ["1x k3 e1 8"],
        ["1x k3 e2 16 /2", "1x k3 e2 16"],
        ["1x k5 e2 16 /2 se", "1x k3 e2 16 se"],
        ["1x k5 e2 24 /2 p1", "1x k3 e2 24"],
        ["1x k3 e2 32 /2 se p0", "1x k3 e2 32 se"],
    ],
    head_expansion=2,
)
"""An architecture with every kind of block, for tests that need no real one."""


def whole(arch, padding="official", classes=1000):
    """Backbone and head, as they are counted in the paper's files."""
    return nn.Sequential(
        FBNetV3(arch, out_indices=(4,), padding=padding), FBNetV3Head(classes, arch)
    )


def cost(arch, padding, side=None):
    """Multiply-adds of convolutions and linear layers, and elements that enter a global pooling."""
    side, pooled = side or ARCHS[arch].size, []
    with torch.device("meta"):
        net = whole(arch, padding).eval()
        for module in net.modules():
            if isinstance(module, nn.AdaptiveAvgPool2d):
                module.register_forward_pre_hook(lambda _, args: pooled.append(args[0].numel()))
        found = flops(lambda: net(torch.empty(1, 3, side, side)))
    return found // 2, sum(pooled)


def learnt(net, seed=1):
    """The same net with numbers in all its tensors, so that no block is the identity."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                spread = torch.rand(tensor.shape, generator=g)
                small = name.endswith(("bias", "running_mean"))
                tensor.copy_(0.1 * spread if small else spread + 0.5)
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):  # keeps what passes through near 1
                module.weight.sub_(1).div_(module.weight[0].numel() ** 0.5 / 2)
    return net


def filled(shapes):
    """Tensors of these shapes by name, with numbers of the name's own: alike on every machine."""
    found = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        drawn = torch.from_numpy(rng.random(tuple(shape), dtype=np.float32))
        if name.endswith("num_batches_tracked"):
            found[name] = torch.zeros(shape, dtype=torch.int64)
        elif len(shape) > 1:  # keeps what passes through near 1
            found[name] = (drawn - 0.5) * 2 / math.sqrt(math.prod(shape[1:]))
        else:
            found[name] = 0.1 * drawn if name.endswith(("bias", "running_mean")) else drawn + 0.5
    return found


def fingerprint(tensors):
    """SHA-256 of names and shapes."""
    lines = sorted(f"{name} {tuple(one.shape)}" for name, one in tensors.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def scores_of_pictures(net):
    """What a net says of four small pictures, with the statistics that its norms take from them."""
    drawn = np.random.default_rng(0).random((4, 3, 96, 64), dtype=np.float32)
    x = torch.from_numpy(4 * drawn - 2)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(x)
        return net.eval()(x)
