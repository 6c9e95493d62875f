"""What a study knows already, as a predictor needs it."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mmext.search.nars.early_stop import STOP_KEY
from mmext.search.nars.genes import Genes, holds, keys_of


class Results(NamedTuple):
    """Candidates with a score, higher is better, and the keys of all that a trial has had."""

    genes: Float[np.ndarray, "N D"]
    scores: Float[np.ndarray, " N"]
    taken: set[bytes]


def results_of(study: Study, genes: Genes) -> Results:
    """Read a study.

    An infinite score counts as the worst finite one. A failed trial has no score, as it may have
    been the machine's fault, but its candidate is not given again.
    """
    step = study._storage.get_study_system_attrs(study._study_id).get(STOP_KEY)
    sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
    complete = [one for one in study.get_trials(deepcopy=False) if is_of(one, genes)]
    rows = genes.snap(genes.to_genes([one.params for one in complete]))
    scores = np.array([sign * score_of(one, step) for one in complete], dtype=float)
    known, finite = ~np.isnan(scores), np.isfinite(scores)
    if finite.any():
        scores = np.where(known & ~finite, scores[finite].min(), scores)
    else:
        known = finite
    return Results(rows[known], scores[known], set(keys_of(rows)))


def is_of(trial: FrozenTrial, genes: Genes) -> bool:
    """Whether a trial has a value, within its range, for each parameter of the space."""
    return all(
        name in trial.params and holds(d, trial.params[name]) for name, d in genes.space.items()
    )


def score_of(trial: FrozenTrial, stop_step: int | None) -> float:
    """The score that a predictor learns; NaN if there is none.

    Where trials stop at an early-stop epoch it is the one of that epoch, so that all are of equal
    training.
    """
    if stop_step is not None and int(stop_step) in trial.intermediate_values:
        return trial.intermediate_values[int(stop_step)]
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return trial.value
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        return trial.intermediate_values[max(trial.intermediate_values)]
    return math.nan
