"""The command ``mmext``: each command is a module whose ``main`` takes the words behind its name.

A module is imported when its command is called: ``mmext --help`` and ``mmext doctor`` need no other
package.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from mmext.version import __version__

COMMANDS = {  # name: what it does, and the module whose main does it
    "train": ("train a model", "mmext.cli.train"),
    "test": ("test a model", "mmext.cli.test"),
    "verify": ("check a config, its data and its weights", "mmext.cli.verify"),
    "demo": ("show what a model makes of pictures or videos", "mmext.cli.demo"),
    "track": ("give the people of a video identities", "mmext.cli.track"),
    "doctor": ("say what is wrong with this environment, and what cures it", "mmext.doctor"),
    "data": ("fetch and make a small real data set, or weights", "mmext.cli.data"),
    "configs": ("list, copy or find the configs that mmext ships", "mmext.cli.configs"),
    "search": ("search hyper-parameters and architectures over a config", "mmext.cli.search"),
    "clean-labels": ("find training labels not to be trusted", "mmext.cli.clean_labels"),
    "pseudo-label": ("let a teacher label pictures for a student", "mmext.cli.pseudo_label"),
    "convert": ("rename the weights of an author's code for ours", "mmext.cli.convert"),
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the first word; the others are the command's."""
    lines = [f"  {name:12} {what}" for name, (what, _) in COMMANDS.items()]
    one = argparse.ArgumentParser(
        prog="mmext",
        description="Ideas from papers as small, tested parts for OpenMMLab.",
        epilog="\n".join(["commands:", *lines, "", "mmext COMMAND --help tells more of each."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument("--version", action="version", version=f"mmext {__version__}")
    one.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the list below")
    one.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="...", help="what the command takes"
    )
    return one


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parser().parse_args(argv)
    _, module = COMMANDS[args.command]
    try:
        command = importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "mmext":
            raise
        sys.exit(
            f"error: mmext {args.command} expected the package {package}, got none; install it, "
            "for instance with pip install 'mmext[openmmlab]', or ask mmext doctor"
        )
    # The command's parser calls itself by its first word.
    sys.argv = [f"mmext {args.command}", *args.words]
    sys.exit(command.main(args.words))
