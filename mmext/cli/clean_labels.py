"""Find labels not to be trusted: mmext clean-labels CONFIG --folds 10 --out clean.txt.

Each fold of the training set is scored by a net that was trained on the others. The list names the
pictures whose label it finds plausible; mmext.FilteredDataset trains on them. The report names the
others, the most doubtful first, with the class that the net would give them.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mmengine.config import DictAction

from mmext.engine import launch
from mmext.engine.config import check_types, load_config
from mmext.errors import BadInputError

if TYPE_CHECKING:
    from mmext.classification.real_labels.cleaning import Doubt
    from mmext.classification.real_labels.out_of_fold import Samples

METHODS = ("share", "topk", "cleanlab")


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the flags."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("config", help="config file of a classifier")
    parser.add_argument(
        "--out", type=Path, required=True, help="list of pictures to keep, to write"
    )
    parser.add_argument("--folds", type=int, default=10, help="default: %(default)s")
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="share",
        help="share keeps a label with --min-share of the scores, topk one among the first --k as "
        "the paper does, cleanlab judges by its package (default: %(default)s)",
    )
    parser.add_argument(
        "--min-share",
        type=float,
        help="of share, calibrated, from 0 to 1 (default: that of a guess, 1 / number of classes)",
    )
    parser.add_argument("--k", type=int, default=1, help="of topk (default: %(default)s)")
    parser.add_argument(
        "--report", type=Path, help="CSV of the others with the class suggested, to write"
    )
    parser.add_argument(
        "--control", type=Path, help="list of as many pictures at random, to write: for a study"
    )
    parser.add_argument(
        "--work-dir", type=Path, help="where folds are kept (default: beside the list)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of folds and trainings")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="as in mmext train")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Train what is missing, judge, and write list and report."""
    if args.k < 1:
        raise BadInputError(f"--k {args.k}: expected 1 or more; change it")
    if args.min_share is not None and not 0 < args.min_share <= 1:
        raise BadInputError(f"--min-share {args.min_share}: expected 0 to 1; change it")
    cfg = load_config(args.config, args.cfg_options)
    from mmext.classification.real_labels import cleaning
    from mmext.classification.real_labels.out_of_fold import OutOfFold, read_samples

    if args.method == "cleanlab":
        cleaning.require_cleanlab()  # before hours of training
    samples = read_samples(cfg)
    check_types(cfg)
    work_dir = args.work_dir or args.out.with_name(f"{args.out.stem}_folds")
    scores = OutOfFold(cfg, samples, args.folds, work_dir, args.seed).scores()
    keep = cleaning.plausible(
        scores, samples.labels, method=args.method, min_share=args.min_share, k=args.k
    )
    if not keep.any():
        raise BadInputError(
            f"{args.config}: expected some labels that its nets find plausible, got none of "
            f"{len(keep)}; see in {work_dir} whether the trainings learn anything"
        )
    write_list(args.out, samples, keep)
    if args.control:
        write_list(args.control, samples, np.random.default_rng(args.seed).permutation(keep))
    if args.report:
        found = cleaning.doubts(samples.names, scores, samples.labels, keep)
        write_report(args.report, found, samples)
        print(f"{args.report}: {len(found)} pictures and the class that they seem to be of")


def write_list(file: Path, samples: "Samples", keep: np.ndarray) -> None:
    """Write the names of the pictures that are kept."""
    kept = [name for name, one in zip(samples.names, keep, strict=True) if one]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(kept) + "\n", encoding="utf-8")
    print(f"{file}: {len(kept)} of {len(keep)} pictures ({len(kept) / len(keep):.1%})")


def write_report(file: Path, found: Sequence["Doubt"], samples: "Samples") -> None:
    """Write a line for each picture that is left out."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as out:
        lines = csv.writer(out)
        lines.writerow(["name", "label", "suggested", "score", "suggested_score"])
        for one in found:
            classes = samples.classes[one.label], samples.classes[one.suggested]
            scores = f"{one.score:.4f}", f"{one.suggested_score:.4f}"
            lines.writerow([one.name, *classes, *scores])


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    launch.run(run, parse_args(argv))
