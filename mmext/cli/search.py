"""Search values of a config: mmext search CONFIG --space lr,weight_decay --trials 30.

The config is not changed. Each trial is a training of its own; the first has the config's own
values. The folder gets leaderboard.csv, best_config.py for mmext train, importance.csv and
pictures.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmext.errors import BadInputError

FLAGS = (  # name, type, what it is; the defaults are those of Settings
    ("--space", str, "keys to search over: lr,weight_decay or lr=log(1e-4,1e-1),arch=[a,b]"),
    ("--method", str, "random grid qmc tpe gp cmaes nsga2 reinforce nars pbt (default: tpe)"),
    ("--pruner", str, "stop trials early: median percentile asha hyperband rank (default: none)"),
    ("--trials", int, "how many (default: 30)"),
    ("--seed", int, "of the search; trial n trains with this + n (default: 0)"),
    ("--finalists", int, "train so many of the best again, with other seeds (default: 0)"),
    ("--finalist-seeds", int, "how many other seeds each (default: 3)"),
    ("--workers", int, "trials at the same time (default: 1)"),
    ("--engine", str, "who runs the workers: optuna, this machine, or ray, a cluster"),
    ("--max-hours", float, "begin no trial later"),
    ("--trial-hours", float, "a trial that takes longer has failed"),
    ("--ranks", int, "processes, and GPUs, of a trial (default: 1)"),
    ("--grid-points", int, "of a range, for --method grid (default: 5)"),
    ("--population", int, "members of --method pbt, which share the trials (default: 4)"),
    ("--storage", str, "a database in place of the journal, such as sqlite:////tmp/study.db"),
    ("--value", str, "of a trial: its last evaluation or its best one (default: last)"),
    ("--train-script", str, "your own tool that takes CONFIG --work-dir DIR, for mmext train"),
)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the flags; those that were not given are None, and the config decides."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("config", help="config file, of any of the hosts")
    for name, kind, what in FLAGS:
        parser.add_argument(name, type=kind, help=what)
    parser.add_argument(
        "--objective",
        help="metric to make large, -metric to make small; several as --objective=top1,-macs "
        "(default: what the best checkpoint is chosen by)",
    )
    parser.add_argument(
        "--limit",
        action="append",
        help="macs<=5e8, flops<=…, params<=…, latency<=SECONDS; may be repeated",
    )
    parser.add_argument("--no-own", action="store_true", help="no trial of the config's own values")
    parser.add_argument("--no-verify", action="store_true", help="do not look at data and weights")
    parser.add_argument("--keep-checkpoints", action="store_true", help="of all trials")
    parser.add_argument("--cfg-options", nargs="+", default=(), help="of all trials")
    parser.add_argument("--search-file", help="a config whose search = dict(…) is taken")
    parser.add_argument("--work-dir", type=Path, help="default: work_dirs/search_<config's name>")
    parser.add_argument(
        "--resume", action="store_true", help="join the study of the folder, or begin it"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the first five configs")
    return parser.parse_args(argv)


def given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings among the flags that were given."""
    words = [name.removeprefix("--").replace("-", "_") for name, _, _ in FLAGS]
    found = {word: getattr(args, word) for word in words if getattr(args, word) is not None}
    if args.objective:
        names = [one.strip() for one in args.objective.split(",")]
        found["objective"] = names if len(names) > 1 else names[0]
    if args.limit:
        found["limits"] = tuple(args.limit)
    for flag, word, value in (
        (args.no_own, "own", False),
        (args.no_verify, "verify", False),
        (args.keep_checkpoints, "keep_checkpoints", True),
    ):
        if flag:
            found[word] = value
    return found


def run(args: argparse.Namespace) -> None:
    """Search, and write what was found."""
    work_dir = args.work_dir or Path("work_dirs") / f"search_{Path(args.config).stem}"
    if args.dry_run:
        from mmext.search.tuner.preview import preview

        with tempfile.TemporaryDirectory() as folder:
            preview(_resolved(args, Path(folder)))
        return
    from mmext.search.tuner import search

    search.refuse_unless_resumed(work_dir, resume=args.resume)
    begun = time.time()
    search.search(_resolved(args, work_dir), begun=begun, resume=args.resume)


def _resolved(args: argparse.Namespace, work_dir: Path) -> Any:
    from mmext.search.tuner import resolve

    return resolve.plan(
        args.config,
        given(args),
        work_dir,
        options=args.cfg_options,
        search_file=args.search_file,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Command line; bad input ends it with one sentence and status 1."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    args = parse_args(argv)
    try:
        import optuna  # noqa: F401
        import rich  # noqa: F401
    except ModuleNotFoundError as error:
        sys.exit(
            f"error: mmext search expected the package {error.name}, got none; "
            "pip install 'mmext[search]'"
        )
    try:
        run(args)
    except BadInputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; go on with the same command and --resume")
