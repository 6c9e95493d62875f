"""NARS as a sampler for Optuna: rounds of a predicted pool, then rounds of a genetic search.

Round 0        the first candidates of a quasi-random sequence
Rounds 1 to R-1  the pool's best by a predictor that has learnt from all results
Later rounds   the best of an adaptive genetic search on the predictor, learnt anew

A round's candidates are written into the study when its first trial asks for one, so all workers
share them, and a study that is resumed goes on with the same ones. The pool follows from the seed,
which lies in the study as well, and the predictor from the results.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial

from mmext.search.nars.genes import Genes, Params, keys_of
from mmext.search.nars.genetic import adaptive_search
from mmext.search.nars.pool import Allowed, Constraint, quasi_random_pool
from mmext.search.nars.predictors import Make, Predictor, maker_of
from mmext.search.nars.pretraining import PRETRAINING, pretrained
from mmext.search.nars.results import Results, results_of

LEAST_RESULTS = 4
"""A predictor of fewer results says nothing; the quasi-random sequence goes on."""
MEMBERS = 50
"""Of a generation of the genetic search: the best that were trained, and the pool's best."""


class NARSSampler(BaseSampler):
    """Neural architecture-recipe search; see the card of ``mmext.search.nars``.

    Args:
        seed: of pool, predictor and genetic search; None takes one by chance. A study keeps the
            one that it was begun with.
        space: the distributions, if they are known before the first trial; otherwise the first
            trial is drawn at random, and the space is what all finished trials have in common.
        per_round: candidates of a round, which are chosen together.
        rounds: of stage 1, the quasi-random one among them.
        pool_size: candidates among which a round of stage 1 chooses.
        predictor: ``gp``, ``mlp``, ``forest``, or a function of ``architecture`` and ``seed`` that
            makes something with ``fit(X, y)`` and ``predict(X)``.
        constraint: from parameters to numbers that are at most 0 where a candidate is allowed; it
            is asked before a candidate is trained, once for each of the pool.
        architecture: whether a parameter belongs to the architecture, by its name; those that
            begin with ``model.`` do.
        pretrain: whether ``mlp`` first learns the proxies: ``off``, ``on``, or ``cv``, which
            compares both by cross-validation.
        proxies: from parameters to costs of the architecture (FLOPs, weights) for that.

    Raises:
        ValueError: an argument is out of its range, or pre-training lacks proxies.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        space: Mapping[str, BaseDistribution] | None = None,
        per_round: int = 8,
        rounds: int = 4,
        pool_size: int = 2000,
        predictor: str | Make = "gp",
        constraint: Constraint | None = None,
        architecture: Callable[[str], bool] = lambda name: name.startswith("model."),
        pretrain: str = "off",
        proxies: Callable[[Params], Sequence[float]] | None = None,
    ) -> None:
        for name, value in (("per_round", per_round), ("rounds", rounds), ("pool_size", pool_size)):
            if value < 1:
                raise ValueError(f"{name} of NARSSampler must be at least 1, got {value}")
        if pretrain not in PRETRAINING or (pretrain != "off" and proxies is None):
            raise ValueError(
                f"pretrain must be one of {', '.join(PRETRAINING)}, and needs proxies unless it is "
                f"off, got {pretrain!r} {'without' if proxies is None else 'with'} them"
            )
        self._seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self._given = dict(space) if space is not None else None
        self.per_round, self.rounds, self.pool_size = per_round, rounds, pool_size
        self._make = maker_of(predictor)
        self._constraint, self._architecture = constraint, architecture
        self._pretrain, self._proxies = pretrain, proxies
        self._intersection = IntersectionSearchSpace()
        self._independent = RandomSampler(seed=self._seed)
        self._spaces: dict[str, tuple[Genes, Allowed]] = {}
        self._pools: dict[tuple[str, int], np.ndarray] = {}
        self.predictor: Predictor | None = None

    def reseed_rng(self) -> None:
        """Other draws for parameters outside of the space; pool and rounds keep their seed."""
        self._independent.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that are chosen together.

        Raises:
            ValueError: the study has several objectives.
        """
        self._raise_error_if_multi_objective(study)
        found = self._given if self._given is not None else self._intersection.calculate(study)
        return {name: d for name, d in found.items() if not d.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        """The next candidate of the trial's round that nobody has been given yet."""
        if not search_space:
            return {}
        digest = _digest(search_space)
        genes, _ = self._space(search_space)
        number = trial.number // self.per_round
        key = f"nars:{digest}:round:{number}"
        stored = study._storage.get_study_system_attrs(study._study_id)
        if key not in stored:
            rows = self._choose(study, search_space, number)
            study._storage.set_study_system_attr(study._study_id, key, rows.tolist())
        else:
            rows = np.array(stored[key])
        taken = results_of(study, genes).taken
        own = trial.number % self.per_round
        order = [own, *range(self.per_round, len(rows)), *range(min(self.per_round, len(rows)))]
        free = (i for i in order if i < len(rows) and keys_of(rows[i : i + 1])[0] not in taken)
        # Where all of a small space has been tried, the most promising are tried again.
        chosen = next(free, own % len(rows))
        return genes.to_params(rows[chosen : chosen + 1])[0]

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A random value for what is not in the space, and for the first trial without one."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def pool(
        self, study: Study, search_space: Mapping[str, BaseDistribution]
    ) -> Float[np.ndarray, "N D"]:
        """The genes of the pool; the same for a study, whoever asks and whenever."""
        key = _digest(search_space), self._study_seed(study)
        if key not in self._pools:
            genes, allowed = self._space(search_space)
            self._pools[key] = quasi_random_pool(
                genes, self.pool_size, seed=key[1], allowed=allowed
            )
        return self._pools[key]

    def fit(
        self, study: Study, search_space: Mapping[str, BaseDistribution]
    ) -> tuple[Predictor, Results]:
        """A predictor that has learnt from a study's results."""
        genes, _ = self._space(search_space)
        results = results_of(study, genes)
        architecture = np.array([self._architecture(name) for name in genes.owners()])
        seed, X = self._study_seed(study), genes.features(results.genes)
        predictor = self._make(architecture=architecture, seed=seed)
        if self._pretrain != "off":
            pool = self.pool(study, search_space)
            costs = [self._proxies(one) for one in genes.to_params(pool)]
            free = genes.features(pool), np.array(costs, dtype=float).reshape(len(pool), -1)
            again = lambda: self._make(architecture=architecture, seed=seed)  # noqa: E731
            predictor = pretrained(again, self._pretrain, free, X, results.scores)
        predictor.fit(X, results.scores)
        self.predictor = predictor
        return predictor, results

    def _choose(
        self, study: Study, search_space: Mapping[str, BaseDistribution], number: int
    ) -> Float[np.ndarray, "N D"]:
        """A round's candidates, the best first, and as many again in reserve."""
        pool, (genes, allowed) = self.pool(study, search_space), self._space(search_space)
        results = results_of(study, genes)
        wanted = 2 * self.per_round
        if number == 0 or len(results.scores) < LEAST_RESULTS:
            return _untaken(pool, results.taken, wanted)
        predictor, results = self.fit(study, search_space)

        def score(rows: np.ndarray) -> np.ndarray:
            return predictor.predict(genes.features(rows))

        found = pool[np.argsort(-score(pool), kind="stable")]
        if number >= self.rounds:
            rng = np.random.default_rng([self._study_seed(study), number])
            # DEVIATION: the paper adds random candidates; the pool's best, on its sequence, are as
            # far apart, and the search begins no lower than where stage 1 would have ended.
            best = results.genes[np.argsort(-results.scores, kind="stable")[: MEMBERS // 2]]
            members = np.concatenate([best, found[: MEMBERS - len(best)]])
            found = adaptive_search(genes, score, members, allowed=allowed, rng=rng).genes
        return _untaken(found, results.taken, wanted)

    def _space(self, search_space: Mapping[str, BaseDistribution]) -> tuple[Genes, Allowed]:
        key = _digest(search_space)
        if key not in self._spaces:
            genes = Genes(search_space)
            self._spaces[key] = genes, Allowed(genes, self._constraint)
        return self._spaces[key]

    def _study_seed(self, study: Study) -> int:
        stored = study._storage.get_study_system_attrs(study._study_id)
        if "nars:seed" not in stored:
            study._storage.set_study_system_attr(study._study_id, "nars:seed", self._seed)
            return self._seed
        return int(stored["nars:seed"])


def _untaken(
    rows: Float[np.ndarray, "N D"], taken: set[bytes], wanted: int
) -> Float[np.ndarray, "M D"]:
    """The first rows that no trial has had; the first of all where every one has been had."""
    free = [i for i, key in enumerate(keys_of(rows)) if key not in taken]
    return rows[free[:wanted]] if free else rows[:wanted]


def _digest(search_space: Mapping[str, BaseDistribution]) -> str:
    """A short name of a space."""
    text = repr(sorted((name, repr(d)) for name, d in search_space.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
