"""Test a model: mmext test CONFIG CHECKPOINT [flags]."""

import argparse
from collections.abc import Sequence

from mmext.engine import launch
from mmext.engine.checkpoint import check_fits
from mmext.engine.config import load_config


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the union of the three hosts' flags."""
    parser = launch.parser("Test a model")
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument(
        "--out", "--dump", help="save predictions: a .pkl file, a folder for segmentation"
    )
    parser.add_argument("--show", action="store_true", help="show predictions in a window")
    parser.add_argument("--show-dir", help="save pictures of predictions in this folder")
    parser.add_argument("--interval", type=int, help="draw every so many samples")
    parser.add_argument("--wait-time", type=float, default=2, help="seconds that a window stays")
    parser.add_argument("--tta", action="store_true", help="test-time augmentation")
    parser.add_argument(
        "--no-strict", action="store_true", help="load what fits of another model's checkpoint"
    )
    return parser.parse_args(argv)


def test(args: argparse.Namespace) -> None:
    """Check the inputs and that the checkpoint fits the model, then test."""
    cfg = load_config(args.config, args.cfg_options)
    launch.configure_testing(cfg, args)
    if not args.no_verify:
        launch.check_inputs(cfg, ("test",))
    runner = launch.build_runner(cfg)
    if "://" not in args.checkpoint:
        check_fits(args.checkpoint, runner.model, strict=not args.no_strict)
    runner.test()


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    launch.run(test, parse_args(argv))
