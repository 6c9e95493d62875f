"""Prove an environment: run an operator of mmcv, say who serves them, build a model of each host.

What is installed may not be importable, and nobody may serve an operator, so the set-up ends with
this. Run ``python dev/environment/prove.py`` in any environment; ``--without mmaction`` omits a
host.
"""

import argparse
import importlib
import warnings
from typing import Any

import torch

Config = dict[str, Any]

RESNET: Config = dict(type="ResNet", depth=18, num_stages=4, out_indices=(0, 1, 2, 3))
MODELS: dict[str, Config] = {
    "mmdet": dict(
        type="GFL",
        backbone=RESNET,
        neck=dict(type="FPN", in_channels=[64, 128, 256, 512], out_channels=32, num_outs=5),
        bbox_head=dict(
            type="GFLHead",
            num_classes=1,
            in_channels=32,
            feat_channels=32,
            stacked_convs=1,
            anchor_generator=dict(
                type="AnchorGenerator",
                ratios=[1.0],
                octave_base_scale=4,
                scales_per_octave=1,
                strides=[4, 8, 16, 32, 64],
            ),
        ),
    ),
    "mmseg": dict(
        type="EncoderDecoder",
        backbone={**RESNET, "type": "ResNetV1c"},
        decode_head=dict(type="FCNHead", num_classes=2, in_channels=512, in_index=3, channels=32),
    ),
    "mmaction": dict(
        type="Recognizer2D",
        data_preprocessor=dict(type="mmaction.ActionDataPreprocessor"),
        backbone=dict(type="ResNet", depth=18, norm_eval=False),
        cls_head=dict(type="TSNHead", num_classes=2, in_channels=512),
    ),
}
"""A small model of each host, under the host's import name."""


def run_op(device: str) -> None:
    """Suppress the second of two boxes that overlap, with mmcv's operator, as the hosts call it."""
    from mmcv.ops import nms  # without importing mmext, as the hosts' own tools come here

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]], device=device)
    _, kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), iou_threshold=0.5)
    if kept.tolist() != [0, 2]:
        raise RuntimeError(f"mmcv's nms on {device} must keep boxes [0, 2], got {kept.tolist()}")


def served(extension: bool) -> list[str]:
    """Who serves each operator, a line for a source; with ``extension`` it must be mmcv's own."""
    from mmext import ops

    found: dict[str, list[str]] = {}
    for operator, source in ops.sources().items():
        found.setdefault(source or "nobody", []).append(operator)
    if extension and set(found) != {"mmcv"}:
        raise RuntimeError(
            f"mmcv's own extension must serve every operator, got {', '.join(found)}; the lines "
            "above say why"
        )
    return [f"{source} serves {', '.join(operators)}" for source, operators in found.items()]


def build(host: str) -> int:
    """Build the small model of a host and count its parameters."""
    importlib.import_module(f"{host}.models")
    model = importlib.import_module(f"{host}.registry").MODELS.build(MODELS[host])
    return sum(parameter.numel() for parameter in model.parameters())


def main() -> None:
    """Run every proof and print what was seen; the first failure ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--without", action="append", default=[], choices=MODELS, help="leave out this host"
    )
    parser.add_argument("--cuda", action="store_true", help="run the operator on the GPU too")
    parser.add_argument("--extension", action="store_true", help="expect mmcv's own extension")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # the hosts warn about their own code
    for device in ("cpu", "cuda") if args.cuda else ("cpu",):
        run_op(device)
        print(f"  mmcv's nms runs on {device}")
    import mmext

    print("\n".join(f"  {line}" for line in served(args.extension)))
    for host in MODELS:
        if host not in args.without:
            print(f"  {host} builds a model of {build(host) / 1e6:.1f} million parameters")
    print(f"  mmext {mmext.__version__} on torch {torch.__version__}")


if __name__ == "__main__":
    main()
