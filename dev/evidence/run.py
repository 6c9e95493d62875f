"""Run a study: pairs that share initial weights and data order; intervals, exact test and picture.

    python -m dev.evidence.run gfl                 run what is missing, write docs/evidence/gfl.json
                                                   and .png
    python -m dev.evidence.run gfl --develop       choose a design: development split, seeds from
                                                   100 on
    python -m dev.evidence.run gfl --table         print the tables of the committed file
    python -m dev.evidence.run gfl --state         print what is stated, and where each config lies

studies/ says which studies there are. Each run is tools/train.py and tools/test.py in processes
of their own, with a derived config written beside its results, so any of them can be repeated by
hand, with PYTHONPATH set to the repository's folder. Data and weights are made first.

Pairs    all arms of a seed load the start of one arm, by name and shape (start.py), and see the
         same images in the same order, turned in the same way: the sampler's and the workers' seed
         is the run's
Resume   a finished run is found again by the hash of its config, its start, the code, the machine,
         the commands that make its data and the files that it reads; a killed one begins anew, a
         failed one stops the study. Nothing is shown before all runs are done
Refused  a study whose statement is not committed, and one that is stated otherwise than when it had
         its first result: more seeds, or another primary measure, after a look need a study of
         another name
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dev.demo.report import ReportError
from dev.evidence import pages, picture, provenance, tables
from dev.evidence.results import RESULTS, design, difference, read, summarise, write_json
from dev.evidence.runner import TOOLS, Runner
from dev.evidence.studies import STUDIES
from dev.evidence.study import FIRST_DEVELOPMENT_SEED, ROOT, Study, StudyError

WORK_DIR = Path("work_dirs/evidence")


def refuse_other_statement(name: str, stated: dict[str, Any], files: Iterable[Path]) -> None:
    """Refuse a study that was stated otherwise when it had its first result.

    Raises:
        StudyError: it was.
    """
    for file in files:
        before = read(file)["statement"] if file.exists() else stated
        if changed := difference(design(before), design(stated)):
            raise StudyError(
                f"{file}: expected the statement that {name} had when its first result came, got "
                f"another one ({changed}); state it under another name, or take the change back"
            )


def collect(runner: Runner, name: str, seeds: Iterable[int]) -> dict[str, dict[str, dict]]:
    """Run what is missing; returns each run's result by arm and seed."""
    study = runner.study
    noted = runner.work_dir / name / "statement.json"
    keys = {arm: runner.key(arm) for arm in study.arms}
    runs: dict[str, dict[str, dict]] = {arm: {} for arm in study.arms}
    for seed in seeds:
        for arm in study.arms:
            print(f"{name}: seed {seed}, {arm}", flush=True)
            runs[arm][str(seed)] = runner.run(arm, seed, keys[arm])
            if runner.split == "test" and not noted.exists():
                noted.parent.mkdir(parents=True, exist_ok=True)
                write_json(noted, {"statement": study.statement()})
    return runs


def confirm(name: str, study: Study, work_dir: Path, seeds: list[int] | None) -> None:
    """Run a study as it is stated, and publish what comes out."""
    published = ROOT / RESULTS / f"{name}.json"
    refuse_other_statement(name, study.statement(), [published, work_dir / name / "statement.json"])
    if published.exists():
        print(
            f"{published} has the results; a study runs once, and another question is another study"
        )
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
        raise StudyError(
            f"expected development seeds from {FIRST_DEVELOPMENT_SEED} on, got {min(chosen)}"
        )
    if len(chosen) < 2:
        raise StudyError(f"expected two development seeds or more, got {chosen[0]} alone")
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
            [sys.executable, str(TOOLS / "data" / f"{script}.py"), *flags],
            check=True,
            env=provenance.environment(),
        )


def state(name: str, study: Study, work_dir: Path) -> str:
    """What is stated, and each arm's config as a file.

    The files are for tools/verify.py and a look before the runs.
    """
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
            raise StudyError(
                f"{published}: not found, expected the results of {args.study}; run it first"
            )
        print(tables.both(read(published)))
    elif args.state:
        print(state(args.study, STUDIES[args.study], args.work_dir))
    else:
        (develop if args.develop else confirm)(
            args.study, STUDIES[args.study], args.work_dir, args.seeds
        )


if __name__ == "__main__":
    main()
