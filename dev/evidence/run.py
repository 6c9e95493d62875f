"""Run a study: pairs that share initial weights and data order; intervals, an exact test and a picture.

    python -m dev.evidence.run gfl                 run what is missing, write docs/evidence/gfl.json and .png
    python -m dev.evidence.run gfl --develop       choose a design: development split, seeds from 100 on
    python -m dev.evidence.run gfl --table         print the tables of the committed file
    python -m dev.evidence.run gfl --state         print what is stated, and where each config lies

studies.py says which studies there are. Each run is tools/train.py and tools/test.py in processes of their
own, with a derived config written beside its results, so any of them can be repeated by hand, with
PYTHONPATH set to the repository's folder. Data and weights are made first.

Pairs    all arms of a seed load the start of one arm, by name and shape (start.py), and see the same images
         in the same order, turned in the same way: the sampler's and the workers' seed is the run's
Resume   a finished run is found again by the hash of its config, its start, the code and the machine; a
         killed one begins anew, a failed one stops the study. Nothing is shown before all runs are done
Refused  a study whose statement is not committed, and one that is stated otherwise than when it had its
         first result: more seeds, or another primary measure, after a look need a study of another name
"""

import argparse
import copy
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dev.demo.report import ReportError, newest
from dev.evidence import pages, picture, provenance, tables
from dev.evidence.provenance import ROOT, environment
from dev.evidence.results import RESULTS, design, difference, read, summarise, write_json
from dev.evidence.start import shared_share
from dev.evidence.studies import STUDIES
from dev.evidence.study import FIRST_DEVELOPMENT_SEED, Study, StudyError, config_hash, digest
from mmext.engine.checkpoint import read as read_checkpoint
from mmext.prepare.packages import one_at_a_time

TOOLS = ROOT / "tools"
WORK_DIR = Path("work_dirs/evidence")


@dataclass(frozen=True)
class Runner:
    """What every run of one call shares.

    Args:
        study: what is run.
        machine: as :func:`dev.evidence.provenance.read_machine` found it.
        work_dir: of all studies: runs that two of them share are made once.
        split: ``test``, or ``dev`` for choosing a design.
    """

    study: Study
    machine: dict[str, Any]
    work_dir: Path
    split: str = "test"

    def config(self, arm: str) -> Config:
        """The arm's config as this call runs it."""
        cfg = copy.deepcopy(self.study.configs[arm])
        if self.split == "dev":
            cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
        return cfg

    def key(self, arm: str) -> str:
        """Names what the arm's numbers depend on beside the seed; its place among the arms is none of it."""
        cfg = self.config(arm)
        return digest(
            dict(
                config=config_hash(cfg),
                start=self.start_key(),
                tests={name: self.options(name) for name in self.study.tests},
                code=self.code(arm),
                machine=self.machine,
            )
        )[:16]

    def start_key(self) -> str:
        """Names what the shared start depends on beside the seed."""
        model = self.config(self.study.start_arm).model.to_dict()
        return digest([model, dict(self.study.aliases), self.code(self.study.start_arm), self.machine])[:16]

    def code(self, arm: str) -> str:
        """Hash of the code that the arm runs."""
        imports = self.config(arm).get("custom_imports", {}).get("imports", [])
        return provenance.code_hash(name for name in imports if not name.startswith("mmext"))

    def options(self, test: str) -> list[str]:
        """What makes ``tools/test.py`` run one of the study's tests."""
        return [option.format(split=self.split) for option in self.study.tests[test]]

    def run(self, arm: str, seed: int) -> dict[str, Any]:
        """Train and test one arm with one seed, or read what an earlier call found."""
        folder = self.work_dir / "runs" / f"{self.key(arm)}-seed{seed}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(folder):
            done = folder / "result.json"
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                result = self.train_and_test(arm, seed, folder)
                write_json(done, result)
            return json.loads(done.read_text())

    def train_and_test(self, arm: str, seed: int, folder: Path) -> dict[str, Any]:
        """Do one run in an empty folder."""
        begin = time.monotonic()
        cfg, start = self.config(arm), self.start(seed)
        cfg.load_from = str(start)
        config = folder / "config.py"
        cfg.dump(config)
        train = [TOOLS / "train.py", config, "--work-dir", folder, "--seed", seed]
        call(folder / "train.log", *train, "--no-validate")  # what counts is the test at the end
        checkpoint = Path((folder / "last_checkpoint").read_text())
        measured = {test: self.test(test, config, checkpoint, folder) for test in self.study.tests}
        shared = self.shared(arm, start, checkpoint)
        checkpoint.unlink()  # a study would fill the disk; its config and seed give it again
        return dict(
            arm=arm,
            seed=seed,
            commit=provenance.git("rev-parse", "HEAD") if (ROOT / ".git").exists() else None,
            seconds=round(time.monotonic() - begin),
            shared_start=round(shared, 3),
            measured=measured,
        )

    def start(self, seed: int) -> Path:
        """The checkpoint that all arms of this seed begin with; made if it is not there."""
        file = self.work_dir / "starts" / f"{self.start_key()}-seed{seed}.pth"
        file.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(file):
            if not file.exists():
                config, new = file.with_suffix(".py"), file.with_suffix(".new")
                self.config(self.study.start_arm).dump(config)
                words = ["-m", "dev.evidence.start", config, seed, new]
                call(file.with_suffix(".log"), *words, "--aliases", json.dumps(dict(self.study.aliases)))
                os.replace(new, file)  # complete, or not there
        return file

    def shared(self, arm: str, start: Path, checkpoint: Path) -> float:
        """Share of the arm's weights that began as the start's; a pretrained backbone's do not count."""
        backbone = self.config(arm).model.get("backbone") or {}
        pretrained = "Pretrained" in json.dumps(dict(backbone).get("init_cfg"), default=str)
        before, after = (read_checkpoint(file)["state_dict"] for file in (start, checkpoint))
        share = shared_share(before, after, leave_out="backbone." if pretrained else "")
        if not share:
            raise StudyError(
                f"expected the arm {arm!r} to share initial weights with {self.study.start_arm!r}, got no "
                "weight of the same name and shape, so its runs are no pairs; give the study aliases"
            )
        return share

    def test(self, test: str, config: Path, checkpoint: Path, folder: Path) -> dict[str, float]:
        """Run one of the study's tests; returns all that it measured."""
        options = self.options(test)
        words = [TOOLS / "test.py", config, checkpoint, "--work-dir", folder / test]
        call(folder / f"{test}.log", *words, *(["--cfg-options", *options] if options else []))
        return json.loads(newest(folder / test, "*/*.json", "tools/test.py").read_text())


def call(log: Path, *command: object) -> None:
    """Run a tool with its output in a file; end the study where it fails."""
    words = [sys.executable, *map(str, command)]
    with log.open("w") as out:
        code = subprocess.run(words, stdout=out, stderr=subprocess.STDOUT, env=environment()).returncode
    if code:
        raise StudyError(
            f"{' '.join(words[1:])} ended with {code}; see {log}, mend it and run this again, which goes on"
        )


def refuse_other_statement(name: str, stated: dict[str, Any], files: Iterable[Path]) -> None:
    """Refuse a study that was stated otherwise when it had its first result.

    Raises:
        StudyError: it was.
    """
    for file in files:
        before = read(file)["statement"] if file.exists() else stated
        if changed := difference(design(before), design(stated)):
            raise StudyError(
                f"{file}: expected the statement that {name} had when its first result came, got another one "
                f"({changed}); state it under another name, or take the change back"
            )


def collect(runner: Runner, name: str, seeds: Iterable[int]) -> dict[str, dict[str, dict]]:
    """Run what is missing; returns each run's result by arm and seed."""
    study = runner.study
    noted = runner.work_dir / name / "statement.json"
    runs: dict[str, dict[str, dict]] = {arm: {} for arm in study.arms}
    for seed in seeds:
        for arm in study.arms:
            print(f"{name}: seed {seed}, {arm}", flush=True)
            runs[arm][str(seed)] = runner.run(arm, seed)
            if runner.split == "test" and not noted.exists():
                noted.parent.mkdir(parents=True, exist_ok=True)
                write_json(noted, {"statement": study.statement()})
    return runs


def confirm(name: str, study: Study, work_dir: Path, seeds: list[int] | None) -> None:
    """Run a study as it is stated, and publish what comes out."""
    published = ROOT / RESULTS / f"{name}.json"
    refuse_other_statement(name, study.statement(), [published, work_dir / name / "statement.json"])
    if published.exists():
        print(f"{published} is complete, and a study runs once; delete nothing, state another one.")
        return
    if odd := set(seeds or ()) - set(study.seeds):
        raise StudyError(f"expected some of the stated seeds {study.seeds}, got {sorted(odd)}")
    commit = provenance.committed()
    make_data(study)
    runner = Runner(study, provenance.read_machine(), work_dir)
    runs = collect(runner, name, seeds or study.seeds)
    if seeds:
        print("these seeds are done; nothing is shown or written before the others are, too")
        return
    write_json(published, summarise(name, study, runs, runner.machine, commit))
    picture.draw(read(published), published.with_suffix(".png"))
    pages.rewrite()


def develop(name: str, study: Study, work_dir: Path, seeds: list[int] | None) -> None:
    """Run a design on the development split, as often as one likes."""
    chosen = tuple(seeds or range(FIRST_DEVELOPMENT_SEED, FIRST_DEVELOPMENT_SEED + 3))
    if min(chosen) < FIRST_DEVELOPMENT_SEED:
        raise StudyError(f"expected development seeds from {FIRST_DEVELOPMENT_SEED} on, got {min(chosen)}")
    make_data(study)
    runner = Runner(study, provenance.read_machine(), work_dir, split="dev")
    runs = collect(runner, name, chosen)
    found = summarise(name, study, runs, runner.machine, commit=None)
    path = work_dir / name / "development.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, found)
    picture.draw(found, path.with_suffix(".png"))
    print(tables.both(found))


def make_data(study: Study) -> None:
    """Make the study's data and weights."""
    for words in study.data:
        script, *flags = words.split()
        subprocess.run(
            [sys.executable, str(TOOLS / "data" / f"{script}.py"), *flags], check=True, env=environment()
        )


def state(name: str, study: Study, work_dir: Path) -> str:
    """What is stated, and each arm's config as a file, for tools/verify.py and a look before the runs."""
    folder = work_dir / name / "configs"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(study.statement(), indent=1)]
    for number, (arm, cfg) in enumerate(study.configs.items()):
        cfg.dump(folder / f"{number}.py")
        lines.append(f"{folder / f'{number}.py'}: {arm}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=[*STUDIES, *pages.superseded()])
    parser.add_argument("--work-dir", type=Path, default=WORK_DIR)
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="only these of the stated ones, to share the work"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--develop", action="store_true", help="development split, seeds from 100 on")
    how.add_argument("--table", action="store_true", help="print the tables of the committed file")
    how.add_argument("--state", action="store_true", help="print what is stated")
    args = parser.parse_args(argv)
    try:
        act(args)
    except (StudyError, ReportError) as error:
        sys.exit(f"error: {error}.")


def act(args: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    published = ROOT / RESULTS / f"{args.study}.json"
    if args.study not in STUDIES and not args.table:
        raise StudyError(
            f"{args.study}: expected a study that can be run, got one that is superseded "
            f"({read(published)['superseded']}); --table shows its numbers"
        )
    if args.table:
        if not published.exists():
            raise StudyError(f"{published}: not found, expected the results of {args.study}; run it first")
        print(tables.both(read(published)))
    elif args.state:
        print(state(args.study, STUDIES[args.study], args.work_dir))
    else:
        (develop if args.develop else confirm)(args.study, STUDIES[args.study], args.work_dir, args.seeds)


if __name__ == "__main__":
    main()
