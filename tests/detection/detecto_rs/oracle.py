"""The recursion written out step by step from the paper, on nothing but a dictionary of weights.

Bottleneck ResNets with batch norm in evaluation mode, one map a stage, an extra level by
subsampling.
"""

import torch
import torch.nn.functional as F

BLOCKS = {50: (3, 4, 6, 3)}
EPS = 1e-5


def below(weights, prefix):
    return {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
    }


def norm(x, w, name):
    mean, var, scale, shift = (
        w[f"{name}.{key}"][None, :, None, None]
        for key in ("running_mean", "running_var", "weight", "bias")
    )
    return scale * (x - mean) / (var + EPS) ** 0.5 + shift


def conv(x, w, name, **cfg):
    return F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), **cfg)


def bottleneck(x, w, name, stride, feedback):
    y = norm(conv(x, w, f"{name}.conv1"), w, f"{name}.bn1").clamp(min=0)
    y = norm(conv(y, w, f"{name}.conv2", stride=stride, padding=1), w, f"{name}.bn2").clamp(min=0)
    y = norm(conv(y, w, f"{name}.conv3"), w, f"{name}.bn3")
    if f"{name}.downsample.0.weight" in w:
        x = norm(conv(x, w, f"{name}.downsample.0", stride=stride), w, f"{name}.downsample.1")
    y = y + x
    if feedback is not None:
        y = y + conv(feedback, w, f"{name}.rfp_conv")
    return y.clamp(min=0)


def backbone(image, w, depth, feedback=(None, None, None, None)):
    x = norm(conv(image, w, "conv1", stride=2, padding=3), w, "bn1").clamp(min=0)
    x = F.max_pool2d(x, 3, 2, padding=1)
    maps = []
    for stage, num_blocks in enumerate(BLOCKS[depth]):
        for block in range(num_blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            x = bottleneck(
                x, w, f"layer{stage + 1}.{block}", stride, feedback[stage] if block == 0 else None
            )
        maps.append(x)
    return maps


def fpn(maps, w):
    laterals = [conv(x, w, f"lateral_convs.{i}.conv") for i, x in enumerate(maps)]
    for i in (2, 1, 0):
        laterals[i] = laterals[i] + F.interpolate(laterals[i + 1], size=laterals[i].shape[2:])
    levels = [conv(x, w, f"fpn_convs.{i}.conv", padding=1) for i, x in enumerate(laterals)]
    return [*levels, levels[-1][:, :, ::2, ::2]]


def aspp(x, w):
    views = [
        conv(x, w, "rfp_aspp.aspp.0"),
        conv(x, w, "rfp_aspp.aspp.1", padding=3, dilation=3),
        conv(x, w, "rfp_aspp.aspp.2", padding=6, dilation=6),
        conv(x.mean((2, 3), keepdim=True), w, "rfp_aspp.aspp.3").expand(-1, -1, *x.shape[2:]),
    ]
    return torch.cat([view.clamp(min=0) for view in views], 1)


def levels(image, w, depth, steps, sharing=False):
    """Levels of a detector's backbone and neck, from the detector's weights."""
    first, neck = below(w, "backbone."), below(w, "neck.")
    x = fpn(backbone(image, first, depth), neck)
    for step in range(steps - 1):
        again = first if sharing else below(neck, f"rfp_modules.{step}.")
        feedback = [None, *(aspp(x[i], neck) for i in (1, 2, 3))]
        new = fpn(backbone(image, again, depth, feedback), neck)
        a = [1 / (1 + torch.exp(-conv(y, neck, "rfp_weight"))) for y in new]
        x = [ai * y + (1 - ai) * old for ai, y, old in zip(a, new, x, strict=True)]
    return x
