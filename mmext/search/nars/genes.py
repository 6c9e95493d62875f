"""A search space as columns of numbers from 0 to 1, one gene a parameter, and back.

Gene      every value of a parameter that has finitely many owns an interval of equal length (of
          equal ratio for logarithmic integers), as in Optuna's QMCSampler; its gene is the middle
Feature   what a predictor sees: the gene of a number, one column a choice of a categorical
Letters   N candidates, D parameters, F features
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Params = dict[str, Any]


def bounds_of(d: IntDistribution | FloatDistribution) -> tuple[float, float]:
    """Ends of a number's range on the scale on which it is searched, half a step beyond it.

    Example:
        >>> bounds_of(IntDistribution(1, 3))
        (0.5, 3.5)
    """
    half = (d.step or 0) / 2
    low, high = d.low - half, d.high + half
    return (math.log(low), math.log(high)) if d.log else (low, high)


def value_at(d: BaseDistribution, gene: float) -> Any:
    """The value to whose interval a gene belongs.

    Example:
        >>> value_at(CategoricalDistribution(["sgd", "adam"]), 0.7)
        'adam'
    """
    if isinstance(d, CategoricalDistribution):
        return d.choices[min(int(gene * len(d.choices)), len(d.choices) - 1)]
    assert isinstance(d, IntDistribution | FloatDistribution)
    low, high = bounds_of(d)
    x = low + gene * (high - low)
    x = math.exp(x) if d.log else x
    if isinstance(d, IntDistribution):
        steps = round(x) - d.low if d.log else math.floor((x - d.low) / d.step + 0.5) * d.step
        return min(max(d.low + steps, d.low), d.high)
    if d.step is not None:
        x = round((x - d.low) / d.step) * d.step + d.low
    return min(max(x, d.low), d.high)


def gene_of(d: BaseDistribution, value: Any) -> float:
    """The middle of a value's interval; of a real number, the place where it lies.

    Example:
        >>> gene_of(IntDistribution(1, 4), 1)
        0.125
    """
    internal = d.to_internal_repr(value)
    if isinstance(d, CategoricalDistribution):
        return (internal + 0.5) / len(d.choices)
    assert isinstance(d, IntDistribution | FloatDistribution)
    low, high = bounds_of(d)
    return ((math.log(internal) if d.log else internal) - low) / (high - low)


def holds(d: BaseDistribution, value: Any) -> bool:
    """Whether a value belongs to a distribution.

    Example:
        >>> holds(IntDistribution(1, 4), 5), holds(CategoricalDistribution(["a"]), "b")
        (False, False)
    """
    try:
        return d._contains(d.to_internal_repr(value))
    except (TypeError, ValueError):  # no such choice, or no number at all
        return False


def count_of(d: BaseDistribution) -> int | float:
    """How many values there are; infinite for real numbers without a step."""
    if isinstance(d, CategoricalDistribution):
        return len(d.choices)
    assert isinstance(d, IntDistribution | FloatDistribution)
    return math.inf if d.step is None else round((d.high - d.low) / d.step) + 1


def snapped(d: BaseDistribution, gene: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """The middles of the intervals in which genes lie; real numbers stay where they are."""
    count = count_of(d)
    if math.isinf(count):
        return np.clip(gene, 0.0, 1.0)
    if isinstance(d, IntDistribution) and d.log:
        return np.array([gene_of(d, value_at(d, float(u))) for u in gene])
    return (np.minimum(np.floor(gene * count), count - 1) + 0.5) / count


class Genes:
    """The translation between parameters, genes and features of one space.

    Args:
        space: distribution of each parameter; none of a single value.

    Raises:
        ValueError: the space is empty, or Optuna has a new kind of distribution.
    """

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        if not space:
            raise ValueError(
                "the space of NARS must have at least one parameter with several values, got none; "
                "widen a range or add a parameter"
            )
        known = (CategoricalDistribution, FloatDistribution, IntDistribution)
        if odd := [name for name, d in space.items() if not isinstance(d, known)]:
            raise ValueError(
                f"NARS knows categorical, int and float distributions, got {space[odd[0]]!r} for "
                f"{odd[0]}; take another sampler"
            )
        self.space = dict(space)
        self.names = tuple(space)
        self.counts = [count_of(d) for d in space.values()]
        self.ordered = np.array(
            [not isinstance(d, CategoricalDistribution) for d in space.values()]
        )

    def to_params(self, genes: Float[np.ndarray, "N D"]) -> list[Params]:
        """The parameters of each row."""
        return [
            {
                name: value_at(d, float(u))
                for u, (name, d) in zip(row, self.space.items(), strict=True)
            }
            for row in genes
        ]

    def to_genes(self, params: Sequence[Mapping[str, Any]]) -> Float[np.ndarray, "N D"]:
        """The genes of each candidate; parameters outside of the space do not count."""
        rows = [[gene_of(d, one[name]) for name, d in self.space.items()] for one in params]
        return np.array(rows, dtype=float).reshape(-1, len(self.names))

    def snap(self, genes: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
        """Move genes into the middle of their intervals: equal candidates get equal rows."""
        columns = [snapped(d, gene) for gene, d in zip(genes.T, self.space.values(), strict=True)]
        return np.stack(columns, axis=1)

    def grid(self) -> Float[np.ndarray, "N D"]:
        """Every candidate of a finite space, in the order of its values."""
        middles = [[(i + 0.5) / count for i in range(int(count))] for count in self.counts]
        rows = np.array(list(itertools.product(*middles)))
        return self.snap(rows)

    def features(self, genes: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N F"]:
        """What a predictor sees of each candidate."""
        columns = []
        for gene, d in zip(genes.T, self.space.values(), strict=True):
            if isinstance(d, CategoricalDistribution):
                index = np.minimum((gene * len(d.choices)).astype(int), len(d.choices) - 1)
                columns.append(np.eye(len(d.choices))[index])
            else:
                columns.append(gene[:, None])
        return np.concatenate(columns, axis=1)

    def owners(self) -> list[str]:
        """The parameter to which each feature belongs."""
        widths = [
            len(d.choices) if isinstance(d, CategoricalDistribution) else 1
            for d in self.space.values()
        ]
        return [name for name, width in zip(self.names, widths, strict=True) for _ in range(width)]


def keys_of(genes: Float[np.ndarray, "N D"]) -> list[bytes]:
    """A key for each row; equal candidates, snapped, have equal keys.

    Example:
        >>> len(set(keys_of(np.array([[0.3], [0.1 + 0.2], [0.4]]))))
        2
    """
    return [row.tobytes() for row in np.round(genes, 9) + 0.0]
