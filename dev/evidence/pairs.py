"""What pairs of runs say: mean difference, its 95 % interval, an exact test, how many pairs win.

Pair     two runs of one seed that differ in one thing; its difference is treated minus control
Interval Student's t with n - 1 degrees of freedom: exact for normal differences
p        two-sided sign-flip test: if nothing differed, each difference would bear either sign
         equally often, so p is the share of the 2^n choices of signs whose mean is at least as far
         from 0. With 5 pairs it cannot go below 0.0625, with 6 not below 0.031, with 8 not below
         0.008
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

MAX_PAIRS = 40
"""The exact test counts 2^(n / 2) sums."""


@dataclass(frozen=True)
class Paired:
    """Summary of n paired differences, in the unit of what was measured."""

    n: int
    mean: float
    deviation: float
    """Sample standard deviation of the differences."""
    low: float
    """Lower end of the 95 % interval of the mean."""
    high: float
    p: float
    wins: int
    """Pairs whose difference is above 0."""
    ties: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval says that there is a difference."""
        return self.low > 0 or self.high < 0


def differences(treated: Mapping[str, float], control: Mapping[str, float]) -> list[float]:
    """Treated minus control, seed by seed.

    Raises:
        ValueError: the two were not run with the same seeds, or a number is not finite.
    """
    if treated.keys() != control.keys():
        odd = sorted(treated.keys() ^ control.keys(), key=int)
        raise ValueError(
            f"expected two arms with the same seeds, got {odd} in one alone; run what is missing"
        )
    found = [treated[seed] - control[seed] for seed in sorted(treated, key=int)]
    if not all(map(math.isfinite, found)):
        raise ValueError(
            f"expected finite numbers, got differences {found}; look at the logs of those runs"
        )
    return found


def summarise(found: Sequence[float]) -> Paired:
    """Summary of paired differences.

    Raises:
        ValueError: fewer than 2 pairs, or more than the exact test can count.

    Example:
        >>> result = summarise([1.0, 2.0, 3.0])
        >>> result.mean, result.deviation, result.p, result.wins
        (2.0, 1.0, 0.25, 3)
        >>> round(result.low, 3), round(result.high, 3)
        (-0.484, 4.484)
    """
    n = len(found)
    if not 2 <= n <= MAX_PAIRS:
        raise ValueError(f"expected 2 to {MAX_PAIRS} pairs, got {n}; state another number of seeds")
    mean, deviation = statistics.fmean(found), statistics.stdev(found)
    half = float(stats.t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)
    wins, ties = sum(one > 0 for one in found), sum(one == 0 for one in found)
    return Paired(n, mean, deviation, mean - half, mean + half, sign_flip_p(found), wins, ties)


def compared(
    arms: Mapping[str, Mapping[str, float]], comparisons: Iterable[tuple[str, str]]
) -> list[dict[str, Any]]:
    """A row for each comparison of two arms: their names, and the summary of their pairs.

    Args:
        arms: of each arm, a number by seed.
        comparisons: treated and control.
    """
    return [
        dict(
            treated=treated,
            control=control,
            **vars(summarise(differences(arms[treated], arms[control]))),
        )
        for treated, control in comparisons
    ]


def sign_flip_p(found: Sequence[float]) -> float:
    """Share of all choices of signs whose sum is at least as far from 0 as the sum that was found.

    Sums of two halves are counted against each other, so that 32 pairs need 2 * 65,536 sums, not
    2^32.

    Example:
        >>> sign_flip_p([1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
        0.03125
    """
    sizes = np.abs(np.asarray(found, dtype=float))
    # Sums that are equal in exact numbers differ in their last digits, and count as equal.
    least = abs(math.fsum(found)) - 1e-9 * float(sizes.sum())
    first, second = (
        _signed_sums(sizes[: len(sizes) // 2]),
        np.sort(_signed_sums(sizes[len(sizes) // 2 :])),
    )
    if least <= 0:
        return 1.0
    above = len(second) - np.searchsorted(second, least - first, side="left")
    # For each choice of signs there is the opposite one, whose sum is as far below.
    return float(2 * above.sum() / 2.0 ** len(sizes))


def _signed_sums(sizes: np.ndarray) -> np.ndarray:
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums - size, sums + size])
    return sums
