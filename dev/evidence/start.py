"""The initial weights that all arms of a seed share, as a checkpoint.

    python -m dev.evidence.start CONFIG SEED OUT [--aliases JSON]

Builds the config's model as a run with this seed does, pretrained weights included, and saves its
weights. Every arm has the file as ``load_from``: mmengine then takes what agrees in name and shape
and leaves the rest as the arm's own seed drew it. ``--aliases`` says which weights the file holds
under a second name too.
"""

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import set_random_seed
from torch import Tensor


def initial_weights(cfg: Config, seed: int) -> dict[str, Tensor]:
    """Weights and buffers of the config's model before its first step."""
    init_default_scope(cfg.get("default_scope") or "mmengine")
    set_random_seed(seed)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.state_dict()


def with_aliases(weights: Mapping[str, Tensor], aliases: Mapping[str, str]) -> dict[str, Tensor]:
    r"""The same weights, and again under the names that the regular expressions give them.

    Raises:
        ValueError: an expression fits no name, or a new name is taken.

    Example:
        >>> list(with_aliases({"convs.0.weight": torch.zeros(1)}, {r"^convs\.0": "first"}))
        ['convs.0.weight', 'first.weight']
    """
    renamed: dict[str, Tensor] = {}
    for pattern, replacement in aliases.items():
        found = {
            re.sub(pattern, replacement, name): name for name in weights if re.search(pattern, name)
        }
        if not found:
            raise ValueError(
                f"expected an alias that fits a name such as {next(iter(weights))}, got {pattern!r}"
            )
        if taken := sorted(found.keys() & (weights.keys() | renamed.keys())):
            raise ValueError(
                f"expected new names from the alias {pattern!r}, got {taken[0]}, which is taken"
            )
        renamed |= {new: weights[name] for new, name in found.items()}
    return {**weights, **renamed}


def shared_share(
    start: Mapping[str, Tensor], arm: Mapping[str, Tensor], *, leave_out: str = ""
) -> float:
    """Share of an arm's numbers that began as the start's: equal in name and shape.

    Args:
        start: weights that were given to the arm.
        arm: its own, at any time.
        leave_out: part of names that do not count, since all arms read them from the same file
            anyway.

    Example:
        >>> same = {"backbone.w": torch.zeros(9), "head.w": torch.zeros(3)}
        >>> start = {**same, "head.b": torch.zeros(2)}
        >>> arm = {**same, "new.w": torch.zeros(1)}
        >>> shared_share(start, arm, leave_out="backbone.")
        0.75
    """
    own = {name: one for name, one in arm.items() if not (leave_out and leave_out in name)}
    same = sum(
        one.numel() for name, one in own.items() if name in start and start[name].shape == one.shape
    )
    return same / max(1, sum(one.numel() for one in own.values()))


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("seed", type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--aliases", type=json.loads, default={}, help="names by regular expression, as JSON"
    )
    args = parser.parse_args(argv)
    weights = initial_weights(Config.fromfile(args.config), args.seed)
    torch.save({"state_dict": with_aliases(weights, args.aliases)}, args.out)


if __name__ == "__main__":
    main()
