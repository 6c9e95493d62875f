"""Rename the weights of an author's code for ours: mmext convert emanet final.pth emanet_mmseg.pth.

emanet   the authors' EMANet for mmseg with mmext.EMAHead; the config then needs what README.md in
         configs/segmentation/emanet calls the official variant
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmext.errors import BadInputError


def convert_emanet(source: Path, out: Path) -> int:
    """Write the renamed weights.

    Returns:
        How many tensors there are.

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
    renamed = from_official(weights)
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=renamed), out)
    return len(renamed)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    nets = parser.add_subparsers(dest="net", required=True, metavar="NET")
    emanet = nets.add_parser("emanet", help="EMANet, for mmseg with mmext.EMAHead")
    emanet.add_argument("source", type=Path, help="the authors' file")
    emanet.add_argument("out", type=Path, help="file to write")
    args = parser.parse_args(argv)
    try:
        number = convert_emanet(args.source, args.out)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"{args.out}: {number} tensors for an EncoderDecoder with mmext.EMAHead")
