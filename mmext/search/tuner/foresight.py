"""Limits for a search that asks about thousands of models before it trains one.

NARS chooses among a pool, and breeds further candidates. Before the first trial some models of the
pool are measured; a Gaussian process learns the logarithms of their costs and answers for all
others. What it lets through wrongly is measured before it is trained, and skipped.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mmext.errors import BadInputError
from mmext.search.nars.genes import Genes, keys_of
from mmext.search.nars.pool import quasi_random_pool
from mmext.search.nars.predictors import GaussianProcess
from mmext.search.tuner.costs import FOLDER, Costs, Meter, excesses, keep, model_part
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.settings import Settings
from mmext.search.tuner.space import Space

MEASURED = "measured.json"
MOST_MODELS = 200
"""Models that are measured before the first trial; a detector takes half a second each."""

Measure = Callable[[Mapping[str, Any]], Costs]


class Foresight:
    """The limits as a constraint: measured costs where they are known, otherwise predicted ones.

    Args:
        settings: with the limits.
        genes: of the keys that concern the model.
        work_dir: where :func:`prepare` has left what it measured.
    """

    def __init__(self, settings: Settings, genes: Genes, work_dir: Path) -> None:
        self.settings, self.genes = settings, genes
        self.file = work_dir / FOLDER / MEASURED
        self._known: dict[bytes, Costs] | None = None
        self._processes: dict[str, GaussianProcess] = {}

    def __call__(self, params: Mapping[str, Any]) -> list[float]:
        """How far each limit is exceeded; at most 0 where it is kept."""
        if self._known is None:
            self._learn()
        assert self._known is not None
        found = self._known.get(key_of(self.genes, params))
        costs = found if found is not None else self._predicted(params)
        return list(excesses(costs, self.settings).values())

    def _learn(self) -> None:
        rows = json.loads(self.file.read_text(encoding="utf-8"))
        self._known = {key_of(self.genes, one["params"]): one["costs"] for one in rows}
        for name in {one.name for one in self.settings.bounds}:
            good = [one for one in rows if 0 < one["costs"][name] < math.inf]
            X = self._features([one["params"] for one in good])
            y = np.log([one["costs"][name] for one in good])
            self._processes[name] = GaussianProcess().fit(X, y)

    def _features(self, params: Sequence[Mapping[str, Any]]) -> Float[np.ndarray, "N F"]:
        return self.genes.features(self.genes.snap(self.genes.to_genes(params)))

    def _predicted(self, params: Mapping[str, Any]) -> Costs:
        X = self._features([params])
        return {name: math.exp(one.predict(X)[0]) for name, one in self._processes.items()}


def constraint(settings: Settings, space: Space, work_dir: Path) -> Foresight | None:
    """The limits for a method that asks before it proposes; None where there is nothing to ask."""
    if settings.method != "nars" or not settings.bounds:
        return None
    parts = {key: d for key, d in model_part(space.distributions).items() if not d.single()}
    return Foresight(settings, Genes(parts), work_dir) if parts else None


def key_of(genes: Genes, params: Mapping[str, Any]) -> bytes:
    """A name for a model: the same for all candidates that differ elsewhere."""
    return keys_of(genes.snap(genes.to_genes([params])))[0]


def prepare(plan: Plan, measure: Measure | None = None) -> str:
    """Measure some models; returns what was found in words. A second call finds it done.

    Args:
        plan: what the search is.
        measure: from changes of the config to costs; None takes a process for it.

    Raises:
        BadInputError: no model keeps the limits, or none can be measured.
    """
    asks = constraint(plan.settings, plan.space, plan.work_dir)
    if asks is None:
        return ""
    if not asks.file.is_file():
        everything = lambda rows: np.ones(len(rows), dtype=bool)  # noqa: E731
        pool = quasi_random_pool(
            asks.genes, MOST_MODELS, seed=plan.settings.seed, allowed=everything
        )
        models = asks.genes.to_params(pool)
        fixed = {key: d for key, d in plan.space.distributions.items() if d.single()}
        alike = {key: only_value(d) for key, d in fixed.items()}
        with Meter(plan) as meter:
            ask = measure or meter
            costs = [ask(plan.space.changes({**alike, **one})) for one in models]
        _require_some(costs, plan)
        rows = [{"params": p, "costs": c} for p, c in zip(models, costs, strict=True)]
        keep(asks.file, rows)
    found = [one["costs"] for one in json.loads(asks.file.read_text(encoding="utf-8"))]
    kept = sum(keeps(one, plan.settings) for one in found)
    return f"limits: {kept} of the {len(found)} models that were measured keep them"


def keeps(costs: Costs, settings: Settings) -> bool:
    """Whether a model keeps all limits."""
    return max(excesses(costs, settings).values()) <= 0


def only_value(distribution: Any) -> Any:
    """The value of a distribution that has one."""
    choices = getattr(distribution, "choices", None)
    return choices[0] if choices else distribution.low


def _require_some(costs: Sequence[Costs], plan: Plan) -> None:
    settings = plan.settings
    if any(keeps(one, settings) for one in costs):
        return
    least = min(costs, key=lambda one: max(excesses(one, settings).values()))
    got = ", ".join(f"{one.name} {least[one.name]:.4g}" for one in settings.bounds)
    raise BadInputError(
        f"limits: expected models with {', '.join(settings.limits)}, got none among "
        f"{len(costs)} that were measured, the nearest with {got}; raise a limit or widen the space"
    )
