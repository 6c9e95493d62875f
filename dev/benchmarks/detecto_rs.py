"""Rows of DetectoRS at 256 x 320: switchable convolutions in ResNet-50, pyramid's second step."""

from collections.abc import Callable
from typing import Any

import mmcv.ops  # noqa: F401  registers mmcv's SAC
import torch
from mmdet.utils import register_all_modules
from torch import Tensor, nn

from mmext.registry import MODELS

from .cases import Case, train

HEIGHT, WIDTH = 256, 320
SAC = dict(stage_with_sac=(False, True, True, True))
NORM = dict(frozen_stages=1, norm_eval=True)
LAYERS = {  # side: scope of backbone and neck, prefix of the convolutions (mmcv's carry no scope)
    "ours": ("mmext", "mmext."),
    "upstream": ("mmdet", ""),
}


def _resnet(side: str, sac: bool, **cfg: Any) -> dict[str, Any]:
    """Config of a ResNet-50."""
    scope, convs = LAYERS[side]
    if sac:
        aws = dict(type=f"{convs}ConvAWS")
        cfg.update(SAC, conv_cfg=aws, sac=dict(type=f"{convs}SAC", use_deform=True))
    return dict(type=f"{scope}.DetectoRS_ResNet", depth=50, **NORM, **cfg)


def _same(side: str, build: Callable[[str], nn.Module]) -> Any:
    """A module whose weights are drawn by ours, which draws sane ones, for both sides."""
    register_all_modules(init_default_scope=False)
    ours = build("ours")
    parts: Any = ours if isinstance(ours, nn.ModuleList) else [ours]
    for part in parts:
        part.init_weights()
    if side == "ours":
        return ours
    # mmcv makes some weights of its SAC on the CPU whatever is asked
    upstream = build("upstream").to(torch.get_default_device())
    upstream.load_state_dict(ours.state_dict(), strict=True)
    return upstream


def _backbone(side: str, *, sac: bool, **cfg: Any) -> Any:
    return _same(side, lambda which: MODELS.build(_resnet(which, sac, **cfg)))


def _image() -> Tensor:
    return _noise(3, HEIGHT, WIDTH)


def _noise(*size: int) -> Tensor:
    """The same for both sides, which have drawn differently many weights before."""
    return torch.randn(
        1, *size, generator=torch.Generator(torch.get_default_device()).manual_seed(0)
    )


def sac_inference(side: str) -> Case:
    """Forward of the backbone in evaluation mode."""
    net, x = _backbone(side, sac=True), _image()
    net.eval()

    def run() -> Any:
        with torch.no_grad():
            return net(x)

    return Case(run, run)


def sac_training(side: str) -> Case:
    """Forward and backward of the backbone, stem and first stage frozen."""
    net, x = _backbone(side, sac=True), _image()
    net.train()
    return train(lambda: torch.stack([y.mean() for y in net(x)]).sum(), list(net.parameters()))


def step_checkpoint(side: str) -> Case:
    """Forward and backward of backbone and pyramid, two steps; ours computes the second again."""

    def build(which: str) -> nn.Module:
        own = dict(step_cp=True) if which == "ours" else {}
        neck = dict(
            type=f"{LAYERS[which][0]}.RFP",
            in_channels=[256, 512, 1024, 2048],
            out_channels=256,
            num_outs=5,
            rfp_steps=2,
            aspp_out_channels=64,
            rfp_backbone=_resnet(which, False, rfp_inplanes=256),
        )
        first = MODELS.build(_resnet(which, False, output_img=True))
        return nn.ModuleList([first, MODELS.build(neck | own)])

    (backbone, neck), x = _same(side, build), _image()
    for module in (backbone, neck):
        module.train()
    leaves = [*backbone.parameters(), *neck.parameters()]
    return train(lambda: torch.stack([y.mean() for y in neck(backbone(x))]).sum(), leaves)


def stem_reuse(side: str) -> Case:
    """The second step's backbone; ours gets the first stage's map from the first step."""
    net, x = _backbone(side, sac=False, rfp_inplanes=256), _image()
    net.eval()
    with torch.no_grad():
        stage_1, *others = net(x)
    feedback = [stage_1, *(_noise(256, *y.shape[2:]) for y in others)]
    known = dict(stage_1=stage_1) if side == "ours" else {}

    def run() -> Any:
        with torch.no_grad():
            return net.rfp_forward(x, feedback, **known)

    return Case(run, run)
