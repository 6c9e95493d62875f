"""List, copy or find the configs that mmext ships: mmext configs list|copy|path."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmext import shipped
from mmext.errors import BadInputError


def listed(words: Sequence[str]) -> list[str]:
    """Names that hold every one of the words."""
    return [name for name in shipped.names() if all(word in name for word in words)]


def copy(name: str, target: Path) -> Path:
    """Copy a config to a file or into a folder; its bases stay in mmext.

    Raises:
        BadInputError: there is no such config, or there is already such a file.
    """
    source = shipped.find(name)
    if target.is_dir():
        target /= source.name
    if target.exists():
        raise BadInputError(
            f"{target}: expected no such file, got one; remove it, or choose another name"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(shipped.standing_alone(source))
    return target


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="List, copy or find the configs that mmext ships")
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|copy|path")
    one = actions.add_parser("list", help="print the names of all, or of those that hold the words")
    one.add_argument("words", nargs="*", metavar="word", help="such as gfl or coco")
    one = actions.add_parser("copy", help="copy one, to be changed; its bases stay in mmext")
    one.add_argument("name", help="as in mmext configs list")
    one.add_argument(
        "target", nargs="?", type=Path, default=Path(), help="file or folder (default: here)"
    )
    one = actions.add_parser("path", help="print where one lies; without a name, where all lie")
    one.add_argument("name", nargs="?", help="as in mmext configs list")
    args = parser.parse_args(argv)
    try:
        if args.action == "list":
            print("\n".join(listed(args.words)))
        elif args.action == "copy":
            print(copy(args.name, args.target))
        else:
            print(shipped.find(args.name) if args.name else shipped.folder())
    except BadInputError as error:
        sys.exit(f"error: {error}")
