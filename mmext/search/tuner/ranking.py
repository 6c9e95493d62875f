"""Which trials are the best: by value, or by fronts where there are several objectives."""

from collections.abc import Sequence

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


def finished(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials with a result whose model costs no more than is allowed."""
    complete = [one for one in trials if one.state == TrialState.COMPLETE]
    return [one for one in complete if all(excess <= 0 for excess in one.constraints.values())]


def ranked(trials: Sequence[FrozenTrial], study: optuna.Study) -> list[FrozenTrial]:
    """Finished trials, the best first; with several objectives by fronts, then by the first one."""
    signs = [1 if one == StudyDirection.MAXIMIZE else -1 for one in study.directions]
    rest = [
        (tuple(s * v for s, v in zip(signs, one.values, strict=True)), one)
        for one in finished(trials)
    ]
    result: list[FrozenTrial] = []
    while rest:
        front = [row for row in rest if not any(_beats(other[0], row[0]) for other in rest)]
        result += [one for _, one in sorted(front, key=lambda row: (-row[0][0], row[1].number))]
        numbers = {one.number for _, one in front}
        rest = [row for row in rest if row[1].number not in numbers]
    return result


def front(trials: Sequence[FrozenTrial], study: optuna.Study) -> set[int]:
    """Numbers of the trials that none other beats in every objective."""
    signs = [1 if one == StudyDirection.MAXIMIZE else -1 for one in study.directions]
    rows = {
        one.number: tuple(s * v for s, v in zip(signs, one.values, strict=True))
        for one in finished(trials)
    }
    return {n for n, row in rows.items() if not any(_beats(other, row) for other in rows.values())}


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and one != other
