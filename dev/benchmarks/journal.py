"""How many workers the journal of a search bears: trials of zero length, operations a second.

``python -m dev.benchmarks.journal [--seconds 10] [--workers 1 2 4 8] [--storage sqlite]`` prints a
row for each number of workers: records a second that all of them append together, trials a second
that they are given and tell, and how long one of them waits for a trial. ``--json
docs/evidence/search_journal.json`` keeps them, and docs/search.md says what follows from them.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from mmext.search.tuner import store
from mmext.search.tuner.claims import Claims
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.settings import Settings

CFG = {"optim_wrapper": {"optimizer": {"lr": 0.01, "weight_decay": 0.0005}}}


def plan_of(work_dir: Path, storage: str | None) -> Plan:
    """A search without a training."""
    settings = Settings(
        space="lr,weight_decay", objective="top1", method="random", trials=10**6, storage=storage
    )
    return Plan(settings, "base.py", CFG, CFG, work_dir)


def work(plan: Plan, start: Any, seconds: float, results: Any) -> None:
    """Take trials and tell results as fast as it goes."""
    study = store.load(plan.settings, plan.work_dir)
    claims = Claims(study, plan.settings, plan.space, plan.work_dir)
    start.wait()
    end, waits = time.monotonic() + seconds, []
    while time.monotonic() < end:
        begun = time.monotonic()
        trial = claims.next()
        waits.append(time.monotonic() - begun)
        assert trial is not None
        trial.set_user_attr("seconds", 0.0)
        study.tell(trial, 0.5, state=TrialState.COMPLETE)
    results.put(waits)


def measure(workers: int, seconds: float, database: bool) -> tuple[float, float, float]:
    """Records and trials a second, and the median of the waits for a trial in seconds."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        storage = f"sqlite:///{folder}/study.db" if database else None
        plan = plan_of(Path(folder), storage)
        store.begin(plan.settings, plan.space, plan.cfg, plan.work_dir, resume=False)
        start, results = context.Barrier(workers + 1), context.Queue()
        arguments = (plan, start, seconds, results)
        crew = [context.Process(target=work, args=arguments) for _ in range(workers)]
        for one in crew:
            one.start()
        start.wait()
        begun = time.monotonic()
        waits = [one for _ in crew for one in results.get()]
        took = time.monotonic() - begun
        for one in crew:
            one.join()
        journal = Path(folder) / store.JOURNAL
        records = 0 if database else journal.read_bytes().count(b"\n")
    return records / took, len(waits) / took, statistics.median(waits)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--storage", choices=("journal", "sqlite"), default="journal")
    parser.add_argument("--json", type=Path, help="write the numbers here, and the pages anew")
    args = parser.parse_args()
    rows = []
    print("| workers | records/s | trials/s | s until a trial is given |\n|---|---|---|---|")
    for workers in args.workers:
        records, trials, wait = measure(workers, args.seconds, args.storage == "sqlite")
        print(f"| {workers} | {records:.0f} | {trials:.1f} | {wait:.3f} |", flush=True)
        rows.append(dict(workers=workers, records=records, trials=trials, wait=wait))
    if args.json:
        from dev.evidence import pages, provenance, results

        load = round(os.getloadavg()[0], 1)  # of other work as well
        machine = dict(provenance.read_machine(), load=load)
        made = dict(seconds=args.seconds, storage=args.storage, machine=machine, rows=rows)
        results.write_json(args.json, made)
        pages.rewrite()


if __name__ == "__main__":
    main()
