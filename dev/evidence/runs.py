"""What studies of trainings in this process share: files of what has run, and a command line.

A run is a seed, or an arm of a seed where arms are trained apart. Its file is kept as long as the
study's statement is the one that it was run by, so a command that was stopped goes on, and several
may share the work by seeds and arms.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from dev.evidence import provenance
from dev.evidence.results import write_json
from dev.evidence.study import StudyError

Found = dict[str, Any]


@dataclass(frozen=True)
class Runs:
    """The runs of a study.

    Args:
        module: of the study, behind ``python -m``.
        folder: of the files.
        statement: what is fixed before the first run.
        seeds: of all runs.
        arms: trained apart; one without a name where a run has them all.
    """

    module: str
    folder: Path
    statement: Callable[[], Found]
    seeds: Sequence[int]
    arms: Sequence[str] = ("",)

    @property
    def command(self) -> str:
        """What runs what has not run."""
        return f"python -m {self.module}"

    def file(self, arm: str, seed: int) -> Path:
        """Where a run leaves what it found."""
        name = "_".join(filter(None, [arm.replace(" ", "_"), str(seed)]))
        return self.folder / f"{name}.json"

    def done(self, arm: str, seed: int, short: int = 1) -> Found:
        """What a run has found, empty if it has not run as it is stated now."""
        file = self.file(arm, seed)
        one = json.loads(file.read_text()) if file.is_file() else {}
        return one if (one.get("statement"), one.get("short")) == (self.statement(), short) else {}

    def needed(self, arm: str, seed: int, short: int = 1) -> Found:
        """What a run has found.

        Raises:
            StudyError: it has not run, or as another statement says.
        """
        if one := self.done(arm, seed, short):
            return one
        got = "another" if self.file(arm, seed).is_file() else "none"
        words = [self.command, "--seeds", str(seed)]
        words += ["--short", str(short)] if short != 1 else []
        raise StudyError(
            f"{self.file(arm, seed)}: expected a run of this statement, got {got}; run "
            f"{' '.join(words)}, which goes on"
        )

    def kept(
        self, arm: str, seed: int, run: Callable[[], Found], *, short: int = 1, **more: Any
    ) -> tuple[Found, float]:
        """Run, and leave what it finds; returns that and the seconds of processor time.

        Args:
            arm: its name.
            seed: of the run.
            run: finds something.
            short: divisor of all iterations.
            **more: what else the file holds.
        """
        began = time.process_time()
        found = run()
        seconds = round(time.process_time() - began, 1)
        head: Found = dict(arm=arm) if arm else {}
        head |= dict(seed=seed, short=short, statement=self.statement())
        write_json(self.file(arm, seed), head | found | dict(seconds=seconds) | more)
        return found, seconds

    def joined(self) -> dict[str, dict[str, Found]]:
        """What all runs have found, by arm and seed.

        Raises:
            StudyError: one lacks, or was run as another statement says.
        """
        return {
            arm: {str(seed): self.needed(arm, seed) for seed in self.seeds} for arm in self.arms
        }


def machines(runs: Mapping[str, Mapping[str, Found]]) -> list[Found]:
    """The machines of all runs, by arm and seed.

    Raises:
        StudyError: the arms of a seed were run on several, so they differ in more than the arm.
    """
    found: list[Found] = []
    for seed in next(iter(runs.values())):
        those = [seeds[seed].get("machine") for seeds in runs.values()]
        if any(one != those[0] for one in those):
            raise StudyError(
                f"seed {seed}: expected all arms of one machine and device, got several; remove "
                "the files of that seed and run all its arms on one"
            )
        if those[0] is not None and those[0] not in found:
            found.append(those[0])
    return found


@cache
def machine(device: str) -> Found:
    """The machine, and which of its devices trains."""
    found = provenance.read_machine()
    return found if device.startswith("cuda") else found | dict(device="CPU")


def published(
    runs: Runs, joined: Mapping[str, Mapping[str, Found]], what: Mapping[str, Any]
) -> Found:
    """What a study found, with where it comes from.

    Raises:
        StudyError: the code is not committed, or arms of a seed were run on several machines.
    """
    return dict(
        command=runs.command,
        commit=provenance.committed(),
        statement=runs.statement(),
        **what,
        seconds=round(sum(one["seconds"] for seeds in joined.values() for one in seeds.values())),
        machines=machines(joined),
    )


def start(
    runs: Runs,
    about: str | None,
    *,
    run: Callable[..., Found],
    told: Callable[[Found], str],
    publish: Callable[[], None],
    argv: Sequence[str] | None = None,
) -> None:
    """The command line of a study.

    Args:
        runs: of the study.
        about: its description.
        run: an arm (of a study that has arms) and a seed, how short, and on which device.
        told: a line for what a run has found.
        publish: joins the files.
        argv: words of the command line.
    """
    args = _parser(runs, about).parse_args(argv)
    torch.set_num_threads(1)
    try:
        if args.publish:
            publish()
            return
        for seed in args.seeds:
            for arm in args.arms:
                if runs.done(arm, seed, args.short):
                    continue
                named = dict(arm=arm) if arm else {}
                given = dict(seed=seed, short=args.short, device=args.device)
                found, seconds = runs.kept(
                    arm,
                    seed,
                    partial(run, **named, **given),
                    short=args.short,
                    machine=machine(args.device),
                )
                print(
                    f"{', '.join([f'seed {seed}', *named.values()])}, {seconds:.0f} s: "
                    f"{told(found)}",
                    flush=True,
                )
    except StudyError as error:
        sys.exit(f"error: {error}.")


def _parser(runs: Runs, about: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(runs.seeds))
    if any(runs.arms):
        parser.add_argument("--arms", nargs="+", choices=runs.arms, default=list(runs.arms))
    else:
        parser.set_defaults(arms=list(runs.arms))
    parser.add_argument("--short", type=int, default=1, help="divisor of all iterations: a trial")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda for one GPU (default cpu)")
    parser.add_argument("--publish", action="store_true", help="join the files of all runs")
    return parser
