"""What the models of trials cost: each is measured once for all trials that differ elsewhere."""

import contextlib
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmext.errors import BadInputError
from mmext.files import write_whole
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.resolve import MODULE, ask
from mmext.search.tuner.runs import CONFIG
from mmext.search.tuner.settings import COSTS, Settings

Costs = dict[str, float]
FOLDER = "costs"


def names_of(settings: Settings) -> list[str]:
    """What has to be measured for limits and objectives."""
    asked = [one.name for one in settings.bounds]
    return sorted({*asked, *(one.name for one in settings.objectives if one.name in COSTS)})


def excesses(costs: Mapping[str, float], settings: Settings) -> dict[str, float]:
    """How far each limit is exceeded; at most 0 where it is kept."""
    return {one.name: costs.get(one.name, math.inf) - one.most for one in settings.bounds}


def measure(plan: Plan, folder: Path, changes: Mapping[str, Any]) -> Costs:
    """What the model of a trial costs.

    Args:
        plan: what the search is.
        folder: of the trial, whose config is written.
        changes: that the trial makes.

    Raises:
        BadInputError: the model cannot be built or run.
    """
    names = names_of(plan.settings)
    known = file_of(plan, changes)
    if known.is_file():
        return json.loads(known.read_text(encoding="utf-8"))
    found = ask("cost", str(folder / CONFIG), plan.work_dir / FOLDER, "--names", *names)
    keep(known, found)
    return found


def model_part(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes that may alter what a validation costs; schedules and optimizers do not."""
    apart = ("optim_wrapper", "param_scheduler", "train_", "randomness")
    return {key: value for key, value in sorted(changes.items()) if not key.startswith(apart)}


def file_of(plan: Plan, changes: Mapping[str, Any]) -> Path:
    """Where the costs of a model are kept."""
    mark = repr((names_of(plan.settings), sorted(model_part(changes).items())))
    name = hashlib.sha256(mark.encode()).hexdigest()[:16]
    return plan.work_dir / FOLDER / f"{name}.json"


def keep(file: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(content))


class Meter:
    """Measures many models in one process, which begins when the first is asked for.

    It ends with the ``with`` statement, or with this process. A model that cannot be built or run
    costs nothing that any limit allows.

    Args:
        plan: what the search is.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.folder = plan.work_dir / FOLDER
        self._process: subprocess.Popen | None = None
        self._answers: Any = None

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def __call__(self, changes: Mapping[str, Any]) -> Costs:
        """The costs of a model; infinite ones where it cannot be measured.

        Raises:
            BadInputError: the process that measures does not come up.
        """
        names = names_of(self.plan.settings)
        known = file_of(self.plan, changes)
        if known.is_file():
            return json.loads(known.read_text(encoding="utf-8"))
        found = self._ask(changes)
        if found is None:
            return dict.fromkeys(names, math.inf)
        keep(known, found)
        return found

    def _ask(self, changes: Mapping[str, Any]) -> Costs | None:
        if self._process is None:
            self._begin()
        assert self._process is not None
        assert self._process.stdin is not None
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            self.plan.write_config(Path(folder), changes, self.plan.settings.seed)
            try:
                self._process.stdin.write(f"{Path(folder) / CONFIG}\n")
                self._process.stdin.flush()
                answer = self._answers.readline()
            except BrokenPipeError:
                answer = ""
        if not answer:  # the model has ended the process; the next one begins another
            self._end()
            return None
        return json.loads(answer)

    def _begin(self) -> None:
        names: Sequence[str] = names_of(self.plan.settings)
        self.folder.mkdir(parents=True, exist_ok=True)
        reading, writing = os.pipe()
        line = [sys.executable, "-m", MODULE, "costs", self.plan.base, "--names", *names]
        with (self.folder / "meter.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*line, "--out", f"/dev/fd/{writing}"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
                pass_fds=(writing,),
            )
        os.close(writing)
        self._answers = os.fdopen(reading)
        if not self._answers.readline():
            self._end()
            raise BadInputError(
                "limits: expected a process that measures models, got none; see "
                f"{self.folder / 'meter.log'}"
            )

    def _end(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._answers.close()
        self._process = None
