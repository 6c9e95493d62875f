"""Check a config, its data and its weights: mmext verify CONFIG [--decode]."""

import argparse
from collections.abc import Sequence

from mmengine.config import DictAction

from mmext.data_checks import verify
from mmext.engine import launch
from mmext.engine.config import check_types, load_config


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the flags."""
    parser = argparse.ArgumentParser(description="Check a config, its data and its weights")
    parser.add_argument("config", help="config file")
    parser.add_argument("--decode", action="store_true", help="decode all images, however many")
    parser.add_argument(
        "--splits", nargs="+", choices=verify.SPLITS, default=verify.SPLITS, help="what to check"
    )
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="as in mmext train")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Print what each split holds, then every finding; the first error sets the exit status."""
    cfg = load_config(args.config, args.cfg_options)
    reports = verify.check(cfg.to_dict(), args.splits, decode=args.decode or None, anew=True)
    for report in reports:
        print(report)
        for warning in report.warnings:
            print(f"  warning: {warning}")
        for error in report.errors:
            print(f"  error: {error}")
        if report.unlisted:
            print(f"  error: {report.unlisted} more of the same kinds")
    verify.refuse_errors(reports)
    check_types(cfg)
    print(f"{args.config}: no errors")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    launch.run(run, parse_args(argv))
