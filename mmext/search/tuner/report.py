"""What a trial tells the search while it trains: a file with one line of JSON an evaluation."""

import json
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from mmext.registry import HOOKS


@HOOKS.register_module()
class SearchReportHook(Hook):
    """Append each evaluation's metrics to a file, which ``mmext search`` reads while this runs.

    A line is ``{"step": 3, "of": 12, "metrics": {"top1": 87.5}}``; steps are epochs, or iterations
    where the loop counts those. The first line holds the parameters, the last one says that
    training came to its end.

    Args:
        file: where to, made with its folder.
    """

    priority = "VERY_LOW"  # after the checkpoint of the same step is written

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    @master_only
    def _write(self, line: dict[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")  # one write: a reader sees whole lines

    def before_train(self, runner: Runner) -> None:
        """Tell the number of parameters."""
        self._write({"params": sum(one.numel() for one in runner.model.parameters())})

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any] | None = None) -> None:
        """Tell the metrics; what is no number is left out."""
        loop = runner.train_loop
        counts_iters = isinstance(loop, IterBasedTrainLoop)
        step, of = (loop.iter, loop.max_iters) if counts_iters else (loop.epoch, loop.max_epochs)
        self._write({"step": step, "of": of, "metrics": numbers(metrics or {})})

    def after_train(self, runner: Runner) -> None:
        """Tell that it is over."""
        self._write({"done": True})


def numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """The metrics that are one number each.

    Example:
        >>> numbers({"top1": 50, "table": "text"})
        {'top1': 50.0}
    """
    found = {}
    for name, value in metrics.items():
        try:
            found[name] = float(value)
        except (TypeError, ValueError):
            continue
    return found
