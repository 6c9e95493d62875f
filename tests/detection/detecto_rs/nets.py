"""Small networks with recursion, ours and mmdet's, and weights at which no part is negligible."""

import copy

import mmcv.ops  # noqa: F401  registers mmcv's SAC
import torch
from mmdet.utils import register_all_modules
from mmengine.model import BaseModule

from mmext.registry import MODELS

register_all_modules(init_default_scope=False)

OURS, UPSTREAM = "mmext", "mmdet"
PLAIN = dict(depth=50, base_channels=8)
TINY = dict(depth=18, base_channels=8)
SAC = dict(
    **PLAIN,
    conv_cfg=dict(type="ConvAWS"),
    sac=dict(type="SAC", use_deform=True),
    stage_with_sac=(False, True, True, True),
)
OUR_SAC = dict(
    SAC, conv_cfg=dict(type="mmext.ConvAWS"), sac=dict(type="mmext.SAC", use_deform=True)
)
FPN = dict(out_channels=8, num_outs=5)
FEEDBACK = 16  # four views of four channels


class Detector(BaseModule):
    """What stands before a detector's heads, put together as mmdet's detectors do it."""

    def __init__(self, backbone, neck):
        super().__init__()
        self.backbone, self.neck = backbone, neck

    def forward(self, x):
        return tuple(self.neck(self.backbone(x)))


def backbone(scope=OURS, kind="ResNet", **cfg):
    return MODELS.build(dict(type=f"{scope}.DetectoRS_{kind}", **copy.deepcopy(cfg)))


def channels(depth, base_channels, **_):
    return [base_channels * (1 if depth < 50 else 4) * 2**i for i in range(4)]


def detector(scope=OURS, net=TINY, kind="ResNet", sharing=False, seed=0, rfp=(), **neck):
    """Backbone and RFP; ``rfp`` holds what the later backbones have beside ``net``."""
    torch.manual_seed(seed)
    feedback = dict(
        type=f"{scope}.DetectoRS_{kind}", rfp_inplanes=FEEDBACK, **copy.deepcopy(net), **dict(rfp)
    )
    first = backbone(
        scope, kind, **net, **(dict(rfp_inplanes=FEEDBACK) if sharing else {}), output_img=True
    )
    later = dict(rfp_sharing=True) if sharing else dict(rfp_backbone=feedback)
    neck = dict(
        type=f"{scope}.RFP",
        aspp_out_channels=FEEDBACK // 4,
        **{**FPN, "in_channels": channels(**net), "rfp_steps": 2, **neck, **later},
    )
    return Detector(first, MODELS.build(neck))


@torch.no_grad()
def lively(model, seed=1):
    """Weights, switches, offsets and statistics: every part matters, and maps stay of order 1."""
    g = torch.Generator().manual_seed(seed)
    # What multiplies maps by maps is kept small, else the whole would be chaotic: S within 0.3 to
    # 0.9.
    scales = {"context": 0.2, "offset": 0.1, "switch": 0.02, "weight_diff": 0.5}
    for name, p in model.named_parameters():
        scale = next((value for key, value in scales.items() if key in name), 1.0)
        spread = p[0].numel() ** -0.5 if p.ndim > 1 else 0.1
        start = 0.6 if name.endswith("switch.bias") else p if p.ndim == 1 else 0.0
        p.copy_(start + scale * spread * torch.randn(p.shape, generator=g))
    for module in model.modules():
        for name, b in module.named_buffers(recurse=False):
            noise = torch.rand(b.shape, generator=g)
            if name == "weight_gamma":
                b.copy_((0.5 + noise) * module.weight[0].numel() ** -0.5)
            elif name == "running_var":
                b.copy_(0.5 + noise)
            elif name == "weight_beta":
                b.copy_((noise - 0.5) / module.weight[0].numel())
            elif name == "running_mean":
                b.copy_(0.1 * (noise - 0.5))
    return model


def images(batch=2, height=64, width=96, seed=0):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def plain_file(folder, net=TINY, kind="ResNet", seed=3, name="resnet.pth"):
    """A file of a classifier's weights: a plain ResNet's, lively, and the classifier itself."""
    cfg = {
        key: value for key, value in net.items() if key not in ("conv_cfg", "sac", "stage_with_sac")
    }
    model = lively(MODELS.build(dict(type=f"mmdet.{kind}", **cfg)), seed)
    weights = {**model.state_dict(), "fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}
    torch.save(weights, folder / name)
    return str(folder / name), evaluation(model)


def gradients(model, x):
    """Levels, and the gradients of a loss that weighs all their places differently."""
    model.zero_grad(set_to_none=True)
    levels = model(x)
    weights = [
        torch.rand(y.shape, generator=torch.Generator().manual_seed(7)).to(y) for y in levels
    ]
    sum((w * y).sum() for w, y in zip(weights, levels, strict=True)).backward()
    return [y.detach() for y in levels], {
        name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()
    }


def evaluation(*models):
    """All in evaluation mode; mmdet's backbones return nothing from ``eval``."""
    for model in models:
        model.eval()
    return models[0] if len(models) == 1 else models
