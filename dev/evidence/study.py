"""A study as stated before it runs: what is compared, on which data, and which number decides."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dev.evidence.pairs import MAX_PAIRS
from mmext.data_checks.needs import parts, type_name

ROOT = Path(__file__).parents[2]
Change = Callable[[Config], None]

MIN_PAIRS = 6
"""With five pairs the exact test cannot reach p = 0.05."""
FIRST_DEVELOPMENT_SEED = 100
"""Designs are chosen with seeds from here on, so that no published run has been seen before."""

WITHOUT_CHANCE = ("LoadImageUnlessGiven", "PackClsInputs")
"""Steps of a pipeline that draw no random numbers; with these alone no worker is needed."""


class StudyError(RuntimeError):
    """A study cannot be stated or run so; the message is one sentence for the reader."""


def unchanged(cfg: Config) -> None:
    """Leave the config as it is."""


@dataclass(frozen=True)
class Arm:
    """A config and what is changed in it."""

    config: str
    change: Change = unchanged


@dataclass(frozen=True)
class Measure:
    """One number of one test.

    Args:
        key: its name in what ``tools/test.py`` writes.
        test: in which of the study's tests.
        nothing_found: its value where the test writes no such number, since the model finds nothing
            at all; None where that cannot be.
        scale: multiplies what is read, such as 0.01 for a percentage.
    """

    key: str
    test: str = "test"
    nothing_found: float | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Study:
    """One question. All of it is fixed once there is a result; another choice is another study.

    Each config trains on ``train_dataloader``, is developed on ``val_dataloader`` and confirmed,
    once, on ``test_dataloader``.

    Args:
        question: what is asked, in a sentence.
        data_name: the data in words, for tables.
        limits: what the answer does not show, in a sentence.
        arms: by the name that tables show.
        baseline: the arm that the others are compared with.
        claim: the arm whose difference from the baseline decides.
        primary: the measure that decides; higher is better.
        measures: by heading.
        data: names of tools/data/ with their flags, which make its images and weights.
        seeds: of the published runs, from 0 on.
        pairs: further comparisons, (treated, control); each arm against the baseline is always
            made.
        tests: options for ``tools/test.py`` by the name of a test, flags such as ``--tta`` or
            settings of the config; ``{split}`` becomes ``dev`` or ``test``.
        start: the arm whose initial weights all arms share, by name and shape; the baseline if
            empty.
        aliases: further names of those weights: a regular expression, and what takes its place.
    """

    question: str
    data_name: str
    limits: str
    arms: Mapping[str, Arm]
    baseline: str
    claim: str
    primary: str
    measures: Mapping[str, Measure]
    data: tuple[str, ...]
    seeds: tuple[int, ...] = tuple(range(8))
    pairs: tuple[tuple[str, str], ...] = ()
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"test": ()})
    start: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = set(self.arms)
        named = {self.baseline, self.claim, *(arm for pair in self.pairs for arm in pair)}
        named |= {self.start} if self.start else set()
        if named - known or self.claim == self.baseline:
            raise StudyError(
                f"expected baseline, claim, pairs and start to name arms ({', '.join(known)}), the "
                "claim another one than the baseline, got "
                f"{', '.join(sorted(named - known)) or self.claim}"
            )
        if self.primary not in self.measures:
            raise StudyError(
                f"expected one of {list(self.measures)} as primary measure, got {self.primary!r}"
            )
        if odd := {one.test for one in self.measures.values()} - set(self.tests):
            raise StudyError(
                f"expected measures of the tests {list(self.tests)}, got {sorted(odd)}"
            )
        check_seeds(self.seeds)

    @property
    def start_arm(self) -> str:
        """The arm whose initial weights all share."""
        return self.start or self.baseline

    @property
    def compared(self) -> tuple[tuple[str, str], ...]:
        """All comparisons, (treated, control), without repeats."""
        usual = [(arm, self.baseline) for arm in self.arms if arm != self.baseline]
        return tuple(dict.fromkeys([*usual, *self.pairs]))

    @cached_property
    def configs(self) -> dict[str, Config]:
        """Each arm's whole config."""
        return {name: resolve(arm) for name, arm in self.arms.items()}

    def statement(self) -> dict[str, Any]:
        """All that is fixed before the first run, as JSON has it; the arms' order says nothing."""
        arms = {
            name: {"config": arm.config, "sha256": config_hash(self.configs[name])}
            for name, arm in self.arms.items()
        }
        return dict(
            question=self.question,
            data_name=self.data_name,
            limits=self.limits,
            data=sorted(self.data),
            arms=dict(sorted(arms.items())),
            baseline=self.baseline,
            claim=self.claim,
            primary=self.primary,
            measures={name: vars(measure) for name, measure in sorted(self.measures.items())},
            tests={name: list(options) for name, options in sorted(self.tests.items())},
            pairs=sorted(map(list, self.compared)),
            seeds=sorted(self.seeds),
            start=self.start_arm,
            aliases=dict(sorted(self.aliases.items())),
        )


def check_seeds(seeds: tuple[int, ...]) -> None:
    """Refuse seeds with which a study could show nothing or designs may have been chosen.

    Raises:
        StudyError: there are too few or too many, one comes twice, or one is a development seed.
    """
    if len(set(seeds)) != len(seeds) or not MIN_PAIRS <= len(seeds) <= MAX_PAIRS:
        raise StudyError(
            f"expected {MIN_PAIRS} to {MAX_PAIRS} different seeds, got {seeds}; with fewer pairs "
            "no exact test reaches p = 0.05"
        )
    if not all(0 <= seed < FIRST_DEVELOPMENT_SEED for seed in seeds):
        raise StudyError(
            f"expected seeds from 0 to {FIRST_DEVELOPMENT_SEED - 1}, got {seeds}; higher ones are "
            "for choosing designs"
        )


def resolve(arm: Arm) -> Config:
    """An arm's whole config, bases and changes included.

    Raises:
        StudyError: its runs could not be pairs, since augmentation would draw from the model's own
            numbers.
    """
    cfg = Config.fromfile(str(ROOT / arm.config), import_custom_modules=False)
    arm.change(cfg)
    loader, names = cfg.train_dataloader, steps(cfg.train_dataloader)
    chance = [name for name in names if name not in WITHOUT_CHANCE]
    if not names:
        chance = ["a data set without a pipeline"]
    if chance and not loader.get("num_workers"):
        raise StudyError(
            f"{arm.config}: expected train_dataloader.num_workers of 1 or more, got none; a "
            "worker's random numbers are the seed's, so that all arms see the same images, those "
            f"of the main process are not, and {', '.join(chance)} may draw some"
        )
    return cfg


def steps(loader: Any) -> list[str]:
    """Names of the steps of all pipelines of a loader."""
    return [type_name(step) for _, node in parts(loader, "") for step in node.get("pipeline") or ()]


def config_hash(cfg: Config) -> str:
    """SHA-256 of what a config says, however it is put together."""
    return digest(cfg.to_dict())


def digest(what: Any) -> str:
    """SHA-256 of something that JSON can hold; functions in configs count by their name."""
    text = json.dumps(
        what, sort_keys=True, default=lambda one: getattr(one, "__qualname__", repr(one))
    )
    return hashlib.sha256(text.encode()).hexdigest()
