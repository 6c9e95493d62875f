"""Row of the search: what a trial takes beside its training.

``overhead`` is the whole way of a trial, from the asking to the telling of its result, whose
training is a process that sleeps for half a second, reports one evaluation and ends; the other side
is that process alone. The goal is a difference of 0.3 seconds.
"""

import atexit
import shutil
import subprocess
import tempfile
from pathlib import Path

from mmext.search.tuner import runs, store
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.settings import Settings
from mmext.search.tuner.worker import Worker

from .cases import Case
from .journal import CFG

TRAINING = """
import sys, time
time.sleep(0.5)
with open(sys.argv[3] + "/report.jsonl", "a") as out:
    out.write('{"params": 1}\\n{"step": 1, "of": 1, "metrics": {"top1": 0.5}}\\n{"done": true}\\n')
"""


def overhead(side: str) -> Case:
    """One trial by the tool, or one process."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    script = folder / "training.py"
    script.write_text(TRAINING)
    if side == "upstream":
        line = runs.command(folder, script=str(script))
        return Case(lambda: None, lambda: subprocess.run(line, check=True))
    settings = Settings(
        space="lr,weight_decay", objective="top1", trials=10**6, train_script=str(script)
    )
    plan = Plan(settings, "base.py", CFG, CFG, folder)
    study = store.begin(settings, plan.space, plan.cfg, folder, resume=False)
    worker = Worker(plan, study)

    def trial() -> None:
        taken = worker.claims.next()
        assert taken is not None
        worker.do(taken)

    return Case(lambda: None, trial)
