"""Which labels to trust, by nets that never saw the pictures: folds, rules, and a report.

share     a label stays if it has at least the share of a guess, 1 / K, of the scores. Nets are as
          sure as they deserve first: one temperature (Guo et al. 2017,
          https://arxiv.org/abs/1706.04599), fitted to the labels that they never saw
topk      the paper's rule: a label stays if a net trained on the other folds has it among its
          first k
cleanlab  Northcutt et al. 2021, https://arxiv.org/abs/1911.00068, where the package is installed:
          thresholds of each class's own confidence
"""

import importlib.util
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from mmext.classification.stack.metrics import ranks_of
from mmext.errors import BadInputError

METHODS = ("share", "topk", "cleanlab")
SHARPNESS = (0.02, 50.0)
"""Where the inverse of the temperature is looked for."""
TINY = float(np.finfo(np.float32).tiny)
BLOCK = 20_000
"""Pictures whose scores are held a second time at once; as many are enough for a temperature."""


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
    method: str = "share",
    min_share: float | None = None,
    k: int = 1,
) -> Bool[np.ndarray, " N"]:
    """Whether each label is to be trusted.

    Args:
        scores: of nets that never saw the sample; probabilities, or those of a sigmoid a class.
        labels: as they are.
        method: ``share``, the label has so much of the calibrated scores; ``topk``, it is among
            the first k; or ``cleanlab``.
        min_share: of ``share``, from 0 to 1; None is 1 / K, what a guess would give it.
        k: of ``topk``.

    Raises:
        BadInputError: cleanlab is asked for and not installed, or the method is unknown.

    Example:
        >>> scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
        >>> plausible(scores, np.array([0, 1, 1])).tolist()
        [True, False, True]
    """
    # DEVIATION: the paper keeps a label among the first k; on Fashion-MNIST with replaced labels a
    # share finds as many of them and takes fewer right labels for wrong.
    if method == "share":
        least = 1 / scores.shape[1] if min_share is None else min_share
        return calibrated_shares(scores, labels) >= least
    if method == "topk":
        ranks = ranks_of(torch.as_tensor(scores).float(), torch.as_tensor(labels).long())
        return (ranks < k).numpy()
    if method != "cleanlab":
        raise BadInputError(f"--method {method}: expected one of {METHODS}; change it")
    require_cleanlab()
    from cleanlab.filter import find_label_issues

    # A net with a sigmoid for each class gives scores that need not sum up to 1.
    shares = scores / np.maximum(scores.sum(1, keepdims=True), TINY)
    return ~find_label_issues(np.asarray(labels), shares, n_jobs=1)


def calibrated_shares(
    scores: Float[np.ndarray, "N K"], labels: Int[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """The share ``p[y] ** b / sum_k p[k] ** b`` of each label, with the b of the least NLL.

    The mean NLL is convex in b, 1 over the temperature, so its derivative is bisected.
    """
    labels = np.asarray(labels)
    some = slice(None, None, max(1, len(labels) // BLOCK))
    logs, place = _logs(scores[some]), labels[some, None]
    own = np.take_along_axis(logs, place, 1)
    low, high = SHARPNESS
    for _ in range(30):
        sharpness = (low * high) ** 0.5
        slope = ((_softmax(sharpness * logs) * logs).sum(1, keepdims=True) - own).mean()
        low, high = (sharpness, high) if slope <= 0 else (low, sharpness)
    found = np.empty(len(labels), np.float64)
    for start in range(0, len(labels), BLOCK):
        rows = slice(start, start + BLOCK)
        shares = _softmax(sharpness * _logs(scores[rows]))
        found[rows] = np.take_along_axis(shares, labels[rows, None], 1)[:, 0]
    return found


def _logs(scores: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
    return np.log(np.maximum(scores, TINY, dtype=np.float64))


def _softmax(logits: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


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
