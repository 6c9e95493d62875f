"""Which detection belongs to which track: assignments, one after another or all at once.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593 (no public code)
Idea      Tracks that were just seen choose first. One joint assignment prefers two mediocre pairs
          to one good one, and so hands the front person's detection to the one behind.
Host      none: numpy, and scipy's Hungarian method
Deviates  The passes are ours.
Letters   M tracks; N detections; P pairs
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

Pairs: TypeAlias = Int[np.ndarray, "P 2"]

NO_PAIRS: Pairs = np.zeros((0, 2), np.int64)


def assign(score: Float[np.ndarray, "M N"], allowed: Bool[np.ndarray, "M N"]) -> Pairs:
    """Pairs (track, detection) of the greatest sum of scores, no one in two pairs.

    A forbidden pair counts 0 and is dropped afterwards, so that a forbidden pair of great score
    does not draw others along.

    Example:
        >>> score = np.array([[0.9, 0.8], [0.7, 0.1]])
        >>> assign(score, score > 0.3).tolist()
        [[0, 1], [1, 0]]
    """
    rows, columns = linear_sum_assignment(np.where(allowed, score, 0), maximize=True)
    kept = allowed[rows, columns]
    return np.stack([rows[kept], columns[kept]], 1).astype(np.int64)


def match(
    score: Float[np.ndarray, "M N"],
    allowed: Bool[np.ndarray, "M N"],
    passes: Sequence[Bool[np.ndarray, " M"]],
    candidates: Bool[np.ndarray, " N"],
) -> Pairs:
    """Pairs of one assignment a pass, each among what the passes before have left.

    Args:
        score: of every track with every detection.
        allowed: pairs that may be made.
        passes: the tracks that choose together; one pass of all is a joint assignment.
        candidates: detections that take part.
    """
    free = candidates.copy()
    made = [NO_PAIRS]
    for tracks in passes:
        rows, columns = np.flatnonzero(tracks), np.flatnonzero(free)
        part = np.ix_(rows, columns)
        found = assign(score[part], allowed[part])
        pairs = np.stack([rows[found[:, 0]], columns[found[:, 1]]], 1)
        free[pairs[:, 1]] = False
        made.append(pairs)
    return np.concatenate(made)
