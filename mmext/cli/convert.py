"""Rename the weights of an author's code for ours: mmext convert emanet final.pth emanet_mmseg.pth.

emanet   the authors' EMANet for mmseg with mmext.EMAHead; the config then needs what README.md in
         configs/segmentation/emanet calls the official variant
fbnetv3  timm's b, d or g, or a file of mobile-vision, for mmext.ImageClassifier; a detector's or
         segmentor's backbone takes the file with init_cfg=dict(..., prefix="backbone")
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmext.errors import BadInputError


def convert_emanet(source: Path, out: Path) -> str:
    """Write the renamed weights; returns for what they are.

    Raises:
        BadInputError: the file cannot be read, holds no state dict of their network, or code
            besides it.
    """
    import torch  # here, since --help needs no host

    from mmext.engine.checkpoint import describe, read_content
    from mmext.segmentation.emanet import from_official

    found = read_content(source)
    # Theirs: net, optim, step.
    weights = found.get("net", found) if isinstance(found, dict) else found
    tensors = isinstance(weights, dict) and all(
        isinstance(x, torch.Tensor) for x in weights.values()
    )
    if not isinstance(weights, dict) or not weights or not tensors:
        raise BadInputError(
            f"{source}: expected a state dict of tensors, or one under 'net', got "
            f"{describe(found)}; give the file that the authors' train.py writes"
        )
    return save(from_official(weights), out, "an EncoderDecoder with mmext.EMAHead")


def convert_fbnetv3(source: Path, out: Path) -> str:
    """Write the renamed weights; returns for what they are.

    Raises:
        BadInputError: the file cannot be read, or holds no FBNetV3 of timm's or mobile-vision's.
    """
    from mmext.classification.fbnetv3.convert import convert
    from mmext.engine.checkpoint import describe, read_content

    found = read_content(source)
    if not isinstance(found, dict):
        raise BadInputError(
            f"{source}: expected a state dict of tensors, or one under 'model_ema' or "
            f"'state_dict', got {describe(found)}; give a file of timm's or mobile-vision's"
        )
    try:
        weights, arch, whose = convert(found)
    except BadInputError as error:
        raise BadInputError(f"{source}: {error}") from error
    return save(weights, out, f"FBNetV3 with arch={arch!r}, from {whose}")


def save(weights: dict[str, Any], out: Path, what: str) -> str:
    """Write a file of weights; returns how many there are and for what."""
    import torch

    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=weights), out)
    return f"{len(weights)} tensors for {what}"


NETS = {
    "emanet": (convert_emanet, "EMANet, for mmseg with mmext.EMAHead", "the authors' file"),
    "fbnetv3": (
        convert_fbnetv3,
        "FBNetV3, for mmext.ImageClassifier and any host's backbone",
        "timm's file, or your own of mobile-vision",
    ),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    nets = parser.add_subparsers(dest="net", required=True, metavar="NET")
    for name, (_, about, source) in NETS.items():
        net = nets.add_parser(name, help=about)
        net.add_argument("source", type=Path, help=source)
        net.add_argument("out", type=Path, help="file to write")
    args = parser.parse_args(argv)
    try:
        written = NETS[args.net][0](args.source, args.out)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"{args.out}: {written}")
