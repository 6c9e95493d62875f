"""The early-stop epoch: the first one after which the ranking of candidates hardly changes.

Letters   N candidates, E epochs
"""

import math

import numpy as np
from jaxtyping import Float
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

STOP_KEY = "nars:stop_step"


def ranks(values: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Ranks from 0 on; equal values share the mean of theirs.

    Example:
        >>> ranks(np.array([3.0, 1.0, 3.0]))
        array([1.5, 0. , 1.5])
    """
    less = (values[None] < values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    return less + (equal - 1) / 2


def rank_correlation(a: Float[np.ndarray, " N"], b: Float[np.ndarray, " N"]) -> float:
    """Spearman's; 0 where all values of a side are equal.

    Example:
        >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0]))
        0.5
    """
    x, y = ranks(a) - (len(a) - 1) / 2, ranks(b) - (len(b) - 1) / 2
    size = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / size if size else 0.0


def early_stop_epoch(curves: Float[np.ndarray, "N E"], threshold: float = 0.9) -> int:
    """Index of the first epoch whose ranking agrees with the last one's.

    Args:
        curves: the score of each candidate after each epoch.
        threshold: rank correlation that counts as agreement.

    Example:
        >>> early_stop_epoch(np.array([[0.5, 0.1, 0.2], [0.1, 0.2, 0.3], [0.2, 0.3, 0.4]]))
        1
    """
    final = curves[:, -1]
    last = curves.shape[1] - 1
    agreeing = (e for e in range(last) if rank_correlation(curves[:, e], final) >= threshold)
    return next(agreeing, last)


class RankPruner(BasePruner):
    """Stops trials at the early-stop epoch, which it reads off the first ones.

    The first trials run to the end; from their curves comes the epoch, for the rest of the study
    and all of its workers. From then on a trial ends there, but for one that is among the leaders
    of that epoch.

    Args:
        threshold: rank correlation with the final score from which an epoch can stand for it.
        after: finished trials from whose curves the epoch is read.
        leaders: a trial goes on if fewer than so many others were better at that epoch.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, threshold: float = 0.9, *, after: int = 8, leaders: int = 3) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold of RankPruner must be in (0, 1], got {threshold}")
        if after < 4 or leaders < 1:
            raise ValueError(
                f"RankPruner needs after >= 4 trials, as a ranking of fewer says little, and "
                f"leaders >= 1, got {after} and {leaders}"
            )
        self.threshold, self.after, self.leaders = threshold, after, leaders

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial ends at the step that it has just reported."""
        # DEVIATION: the paper stops all candidates there; the leaders go on here, so that the best
        # trial of a study is one that was trained to the end.
        step = self.stop_step(study)
        if step is None or trial.last_step != step:
            return False
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        value = sign * trial.intermediate_values[step]
        if math.isnan(value):
            return True
        others = [
            sign * one.intermediate_values[step]
            for one in study.get_trials(deepcopy=False)
            if one.number != trial.number and step in one.intermediate_values
        ]
        return sum(other > value for other in others) >= self.leaders

    def stop_step(self, study: Study) -> int | None:
        """The step at which trials end; None while too few have finished or no early one agrees."""
        stored = study._storage.get_study_system_attrs(study._study_id)
        if STOP_KEY in stored:
            return int(stored[STOP_KEY])
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        curves = [one.intermediate_values for one in done if one.intermediate_values]
        if len(curves) < self.after:
            return None
        steps = sorted(set.intersection(*(set(one) for one in curves)))
        if not steps:
            return None
        table = np.array([[one[step] for step in steps] for one in curves], dtype=float)
        found = steps[early_stop_epoch(np.nan_to_num(table), self.threshold)]
        if found == steps[-1]:
            return None  # with more curves another one may agree
        study._storage.set_study_system_attr(study._study_id, STOP_KEY, found)
        return found
