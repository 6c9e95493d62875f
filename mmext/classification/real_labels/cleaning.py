"""Which labels to trust, by nets that never saw the pictures: folds, rules, and a report.

Paper's rule  a label stays if a net trained on the other folds has it among its first k
cleanlab      Northcutt et al. 2021, https://arxiv.org/abs/1911.00068, where the package is
              installed: thresholds of each class's own confidence
"""

import importlib.util
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from mmext.classification.stack.metrics import ranks_of
from mmext.errors import BadInputError

METHODS = ("topk", "cleanlab")


def folds_of(
    labels: Sequence[int] | Int[np.ndarray, " N"], folds: int, seed: int = 0
) -> Int[np.ndarray, " N"]:
    """The fold of each sample, such that every fold has its share of every class.

    Args:
        labels: of the samples.
        folds: how many.
        seed: another one gives other folds.

    Raises:
        BadInputError: there are fewer samples than folds, or fewer than two folds.

    Example:
        >>> np.bincount(folds_of([0, 0, 0, 1, 1, 1], 3)).tolist()
        [2, 2, 2]
    """
    labels = np.asarray(labels)
    if not 2 <= folds <= len(labels):
        raise BadInputError(
            f"--folds {folds}: expected 2 to {len(labels)}, the number of samples; change it"
        )
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) % folds  # one after the other, through all classes
    return found


def plausible(
    scores: Float[np.ndarray, "N K"],
    labels: Int[np.ndarray, " N"],
    *,
    method: str = "topk",
    k: int = 1,
) -> Bool[np.ndarray, " N"]:
    """Whether each label is to be trusted.

    Args:
        scores: of nets that never saw the sample.
        labels: as they are.
        method: ``topk``, the label is among the first k, or ``cleanlab``.
        k: of ``topk``.

    Raises:
        BadInputError: cleanlab is asked for and not installed, or the method is unknown.

    Example:
        >>> plausible(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1])).tolist()
        [True, False]
    """
    if method == "topk":
        ranks = ranks_of(torch.as_tensor(scores).float(), torch.as_tensor(labels).long())
        return (ranks < k).numpy()
    if method != "cleanlab":
        raise BadInputError(f"--method {method}: expected one of {METHODS}; change it")
    require_cleanlab()
    from cleanlab.filter import find_label_issues

    # A net with a sigmoid for each class gives scores that need not sum up to 1.
    sums = scores.sum(1, keepdims=True)
    shares = scores / np.maximum(sums, np.finfo(np.float32).tiny)
    return ~find_label_issues(np.asarray(labels), shares, n_jobs=1)


def require_cleanlab() -> None:
    """Refuse the method where its package is missing.

    Raises:
        BadInputError: it is.
    """
    if importlib.util.find_spec("cleanlab") is None:
        raise BadInputError(
            "--method cleanlab: expected the package cleanlab, got none; pip install "
            "'mmext[cleanlab]', or take --method topk"
        )


class Doubt(NamedTuple):
    """A sample that is left out, and what the nets would call it."""

    name: str
    label: int
    suggested: int
    score: float
    """Of the label."""
    suggested_score: float


def doubts(
    names: Sequence[str],
    scores: Float[np.ndarray, "N K"],
    labels: Int[np.ndarray, " N"],
    keep: Bool[np.ndarray, " N"],
) -> list[Doubt]:
    """Samples that are left out, the most doubtful first: by how far the suggestion is ahead."""
    best = scores.argmax(1)
    rows = np.flatnonzero(~keep).tolist()
    found = [
        Doubt(
            names[row],
            int(labels[row]),
            int(best[row]),
            float(scores[row, labels[row]]),
            float(scores[row, best[row]]),
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: one.score - one.suggested_score)
