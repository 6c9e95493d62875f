"""Train a model: mmext train CONFIG [flags]."""

import argparse
from collections.abc import Sequence

from mmext.engine import amp, launch
from mmext.engine.config import load_config


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the union of the three hosts' flags."""
    parser = launch.parser("Train a model")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        help="go on from this checkpoint; without one, from the latest",
    )
    parser.add_argument(
        "--amp", action="store_true", help="mixed precision: float16 on GPUs, bfloat16 on CPUs"
    )
    parser.add_argument("--amp-dtype", choices=amp.DTYPES, help="mixed precision in this type")
    parser.add_argument(
        "--auto-scale-lr", action="store_true", help="scale the rate with the batch size"
    )
    parser.add_argument("--no-validate", action="store_true", help="do not evaluate while training")
    parser.add_argument("--seed", type=int, help="random seed")
    parser.add_argument("--diff-rank-seed", action="store_true", help="add the rank to the seed")
    parser.add_argument(
        "--deterministic", action="store_true", help="deterministic algorithms only"
    )
    return parser.parse_args(argv)


def train(args: argparse.Namespace) -> None:
    """Check the inputs, then train."""
    cfg = load_config(args.config, args.cfg_options)
    launch.configure_training(cfg, args)
    if not args.no_verify:
        launch.check_inputs(cfg, ("train",) if args.no_validate else ("train", "val"))
    launch.build_runner(cfg).train()


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    launch.run(train, parse_args(argv))
