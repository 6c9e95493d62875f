"""What a trial is worth: its objectives, read from what its evaluations reported."""

import math
from collections.abc import Mapping

import optuna

from mmext.compat.best import headline
from mmext.errors import BadInputError, did_you_mean, some
from mmext.search.tuner.runs import Report
from mmext.search.tuner.settings import COSTS, Objective, Settings


class Scores:
    """Reads the objectives of a search.

    Args:
        settings: with the objectives.
        study: which keeps the metric that ``auto`` was found to be.
    """

    def __init__(self, settings: Settings, study: optuna.Study) -> None:
        self.settings, self.study = settings, study

    def result(self, report: Report, costs: Mapping[str, float]) -> list[float]:
        """The objectives of a whole training: of its last evaluation, or of its best one."""
        rows = [self.of(one["metrics"], costs) for one in report.evaluations]
        if self.settings.value == "last":
            return rows[-1]
        sign = 1 if self.settings.objectives[0].largest else -1
        return max(rows, key=lambda row: sign * row[0] if math.isfinite(row[0]) else -math.inf)

    def of(self, metrics: Mapping[str, float], costs: Mapping[str, float]) -> list[float]:
        """The objectives of one evaluation.

        Raises:
            BadInputError: it does not report one of them.
        """
        return [
            costs.get(one.name, math.nan) if one.name in COSTS else self._metric(one, metrics)
            for one in self.settings.objectives
        ]

    def _metric(self, objective: Objective, metrics: Mapping[str, float]) -> float:
        if not metrics:  # as of a detector that has found nothing
            return math.nan
        name = self.study.user_attrs.get("metric") if objective.name == "auto" else objective.name
        if name is None:
            name = self._choose(metrics)
        if name not in metrics:
            raise BadInputError(
                f"objective: expected {name!r} among what the evaluators report, got "
                f"{some(metrics, 12)}{did_you_mean(name, metrics)}; correct it"
            )
        return metrics[name]

    def _choose(self, metrics: Mapping[str, float]) -> str:
        found = headline(metrics, ["acc", "top", "auc", "precision", "mAP"])
        if found is None or found[1] == "less":
            raise BadInputError(
                "objective: expected a metric that is known to be better large, got "
                f"{some(metrics, 12)}; name one, with - before it if it is better small"
            )
        self.study.set_user_attr("metric", found[0])
        return found[0]
