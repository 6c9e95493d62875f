"""What DetectoRS keeps for backward, and what checkpointing and bfloat16 save: a table of bytes.

    python -m dev.benchmarks.detecto_rs_memory

Backbone and neck of Cascade R-CNN with ResNet-50 in training, one image of 800 x 1344, random
weights. The bytes are those that autograd keeps, so they are the same on every machine; a GPU needs
as many, and what it works with on top. Takes a minute or two and 8 GB.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from prettytable import PrettyTable, TableStyle

from mmext.measure import bytes_kept_for_backward
from mmext.registry import MODELS

FOLDER = Path(__file__).parents[2] / "configs" / "detection" / "detecto_rs"
ROWS = {
    "Cascade R-CNN": "cascade-rcnn",
    "+ RFP": "rfp_cascade-rcnn",
    "+ SAC": "sac_cascade-rcnn",
    "+ both": "detectors_cascade-rcnn",
    "+ both, without deformation": "detectors-plain_cascade-rcnn",
}
Change = Callable[[Config], None]


def as_it_is(cfg: Config) -> None:
    """Change nothing."""


def step_again(cfg: Config) -> None:
    """Keep nothing of the second step (RFP's ``step_cp``)."""
    if cfg.model.neck.type == "mmext.RFP":
        cfg.model.neck.step_cp = True


def blocks_again(cfg: Config) -> None:
    """Keep nothing inside residual blocks (the host's ``with_cp``), nor of the second step."""
    step_again(cfg)
    cfg.model.backbone.with_cp = True
    if "rfp_backbone" in cfg.model.neck:
        cfg.model.neck.rfp_backbone.with_cp = True


RECIPES = {"as it is": as_it_is, "step_cp": step_again, "step_cp and with_cp": blocks_again}


def megabytes(name: str, change: Change, *, bf16: bool) -> float:
    """What one training forward keeps beside the weights."""
    cfg = Config.fromfile(FOLDER / f"{name}_r50_fpn_8xb2-1x_coco.py", import_custom_modules=False)
    cfg.model.backbone.init_cfg = None
    if "rfp_backbone" in cfg.model.neck:
        cfg.model.neck.rfp_backbone.init_cfg = None
    change(cfg)
    backbone, neck = MODELS.build(cfg.model.backbone), MODELS.build(cfg.model.neck)
    backbone.train()
    neck.train()
    image = torch.randn(1, 3, 800, 1344)

    def forward() -> object:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return neck(backbone(image))

    weights = [*backbone.parameters(), *neck.parameters()]
    return bytes_kept_for_backward(forward, besides=weights) / 1e6


def main() -> None:
    """Print the table."""
    register_all_modules(init_default_scope=True)
    columns = [(name, bf16) for bf16 in (False, True) for name in RECIPES]
    table = PrettyTable(["", *(f"{name}{', bf16' if bf16 else ''}" for name, bf16 in columns)])
    table.set_style(TableStyle.MARKDOWN)
    for row, config in ROWS.items():
        cells = [megabytes(config, RECIPES[name], bf16=bf16) for name, bf16 in columns]
        table.add_row([row, *(f"{cell:,.0f}" for cell in cells)])
    print(table)


if __name__ == "__main__":
    main()
