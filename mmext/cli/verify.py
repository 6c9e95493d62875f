"""Check a config, its data and its weights: python tools/verify.py CONFIG [--decode]."""

import argparse

from mmengine.config import DictAction

from mmext.engine import launch, verify
from mmext.engine.config import check_types, load_config


def parse_args() -> argparse.Namespace:
    """Parse the flags."""
    parser = argparse.ArgumentParser(description="Check a config, its data and its weights")
    parser.add_argument("config", help="config file")
    parser.add_argument("--decode", action="store_true", help="decode all images, however many")
    parser.add_argument(
        "--splits", nargs="+", choices=verify.SPLITS, default=verify.SPLITS, help="what to check"
    )
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="as in tools/train.py")
    return parser.parse_args()


def main() -> None:
    """Print what each split holds, then every finding; the first error sets the exit status."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    reports = verify.check(cfg.to_dict(), args.splits, decode=args.decode or None)
    for report in reports:
        print(report)
        for warning in report.warnings:
            print(f"  warning: {warning}")
        for error in report.errors:
            print(f"  error: {error}")
    verify.refuse_errors(reports)
    check_types(cfg)
    print(f"{args.config}: no errors")


if __name__ == "__main__":
    launch.run(main)
