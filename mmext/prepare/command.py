"""The command line that data sets share: where to write, where packages are kept."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mmext.prepare.packages import CACHE, DataError


def run(
    doc: str | None,
    root: Path,
    prepare: Callable[..., None],
    said: Callable[[Path], str],
    argv: Sequence[str] | None = None,
    *,
    seed: str | None = None,
) -> None:
    """Make a data set as the command line says, and print what is there.

    Args:
        doc: the module's docstring, whose first line is the help's.
        root: the default folder to write.
        prepare: makes the data set in a folder, out of packages that are kept in another; with a
            seed behind them if there is one.
        said: what to print of the folder.
        argv: the command line; None for that of the process.
        seed: what another seed makes, if the data set has one.
    """
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument(
        "--root", type=Path, default=root, help="folder to write (default: %(default)s)"
    )
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help="folder of packages (default: %(default)s)"
    )
    if seed:
        parser.add_argument("--seed", type=int, default=0, help=f"{seed} (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        prepare(args.root, args.cache, *([args.seed] if seed else []))
    except DataError as error:
        sys.exit(f"error: {error}.")
    print(said(args.root))
