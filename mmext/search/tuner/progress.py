"""How far a search is, on the terminal: a live table, or a line a trial where there is none."""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.live import Live
from rich.table import Table

from mmext.errors import BadInputError
from mmext.search.tuner import outputs, store
from mmext.search.tuner.claims import counted
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.ranking import ranked

SHOWN = 5  # of the best


class Progress:
    """Shows a search from a thread of its own until it is left.

    Args:
        plan: what is shown.
        console: rich's.
        every: seconds between two looks.
    """

    def __init__(
        self, plan: Plan, console: Console | None = None, every: int | float = 1.0
    ) -> None:
        self.plan = plan
        self.console = console or Console()
        self.every = every
        self.begun = time.monotonic()
        self._told: set[int] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> "Progress":
        self._study = store.load(self.plan.settings, self.plan.work_dir)
        ended = [one.number for one in self._trials() if one.state.is_finished()]
        self._told |= set(ended)
        self._before = len(ended)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _show(self) -> None:
        # A database that breaks down is the search's to tell, not that of who looks on.
        with contextlib.suppress(BadInputError), store.in_a_sentence(self.plan.settings):
            self._look_on()

    def _look_on(self) -> None:
        if not self.console.is_terminal:
            while not self._over.wait(self.every):
                self._say_new()
            self._say_new()
            return
        with Live(console=self.console, refresh_per_second=2, transient=True) as live:
            while not self._over.wait(self.every):
                live.update(self.table(self._trials()))

    def _say_new(self) -> None:
        for one in self._trials():
            if one.state.is_finished() and one.number not in self._told:
                self._told.add(one.number)
                self.console.print(self.line(one), highlight=False, soft_wrap=True)

    def line(self, trial: FrozenTrial) -> str:
        """A trial in a line."""
        values = ", ".join(f"{one:.6g}" for one in trial.values or []) or outputs.state_of(trial)
        params = ", ".join(f"{_last(key)} {_short(one)}" for key, one in trial.params.items())
        seconds = trial.user_attrs.get("seconds")
        took = f", {seconds:.1f} s" if seconds is not None else ""
        reason = trial.user_attrs.get("reason", "")
        done = len([one for one in counted(self._trials()) if one.state.is_finished()])
        return (
            f"[{done}/{self.plan.settings.trials}] trial {trial.number}: {values} ({params}){took}"
            f"{': ' + reason if reason else ''}".replace("[", "\\[", 1)
        )

    def table(self, trials: Sequence[FrozenTrial]) -> Table:
        """The best trials and those that run."""
        names = outputs.names(self._study, self.plan.settings)
        keys = list(self.plan.space.parameters)
        table = Table(title=self._title(trials), title_justify="left")
        for head in ("trial", *names, *(_last(one) for one in keys), "state"):
            table.add_column(head, overflow="fold")
        for one in ranked(trials, self._study)[:SHOWN]:
            own = "own values" if one.user_attrs.get("own") else ""
            self._row(table, one, [f"{value:.6g}" for value in one.values], keys, own)
        for one in trials:
            if one.state == TrialState.RUNNING:
                self._row(table, one, self._so_far(one, names), keys, self._step_of(one))
        return table

    def _row(
        self, table: Table, one: FrozenTrial, values: list[str], keys: list[str], state: str
    ) -> None:
        params = [_short(one.params.get(key, "")) for key in keys]
        table.add_row(str(one.number), *values, *params, state)

    def _title(self, trials: Sequence[FrozenTrial]) -> str:
        ended = [one for one in counted(trials) if one.state.is_finished()]
        failed = sum(one.state == TrialState.FAIL for one in ended)
        stopped = sum(one.state == TrialState.PRUNED for one in ended)
        here, took = len(ended) - self._before, time.monotonic() - self.begun
        rest = max(0, self.plan.settings.trials - len(ended))
        left = f", about {_time(took / here * rest)} left" if here > 0 and rest else ""
        return (
            f"{len(ended)} of {self.plan.settings.trials} trials, {stopped} stopped, {failed} "
            f"failed, {_time(took)}{left}"
        )

    def _evaluations(self, trial: FrozenTrial) -> list[dict[str, Any]]:
        return outputs.evaluations(self.plan.work_dir, trial.number)

    def _so_far(self, trial: FrozenTrial, names: list[str]) -> list[str]:
        rows = self._evaluations(trial)
        last = rows[-1]["metrics"] if rows else {}
        return [f"{last[name]:.6g}" if name in last else "" for name in names]

    def _step_of(self, trial: FrozenTrial) -> str:
        rows = self._evaluations(trial)
        return f"step {rows[-1]['step']} of {rows[-1]['of']}" if rows else "begins"


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)[:24]


def _time(seconds: int | float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )


def require_any(study: optuna.Study, plan: Plan) -> None:
    """Refuse to end without a result.

    Raises:
        BadInputError: no trial came to its end within the limits.
    """
    trials = study.get_trials(deepcopy=False)
    if ranked(trials, study):
        return
    states = ", ".join(f"{one.number} {outputs.state_of(one)}" for one in trials[:6]) or "none"
    raise BadInputError(
        f"{plan.work_dir}: expected a trial that came to its end, got none (trials: {states}); "
        "loosen --limit or --pruner, or give more trials, and go on with --resume"
    )
