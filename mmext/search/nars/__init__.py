"""NARS, the search behind FBNetV3: architecture and recipe together, by a predictor of the score.

Paper     Dai et al. 2021, FBNetV3, https://arxiv.org/abs/2006.02049
Idea      train a few candidates, learn to predict the score of architecture and recipe from them,
          train those that the predictor likes best, learn again; in the end a genetic search asks
          the predictor alone, which takes seconds
Host      mmengine alone; engine Optuna. torch is imported when the predictor ``mlp`` is fitted,
          scikit-learn when ``forest`` is
Deviates  read were the paper's abstract and a port of others, not its text: sizes and rates are
          arguments. The default predictor is a Gaussian process, which needs no tuning for a few
          dozen results; the paper's perceptron is ``mlp``. A round has 8 candidates, not 48. The
          leaders at the early-stop epoch are trained to the end, so that scores which are compared
          are of equal training. Pre-training on free labels is an option that cross-validation
          decides (``pretrain="cv"``): where the recipe decides, it was seen to hurt
Letters   N candidates, D parameters, F features, E epochs, P proxies
"""

from typing import Any

_HOMES = {"NARSSampler": "sampler", "RankPruner": "early_stop"}

__all__ = ["NARSSampler", "RankPruner"]


def __getattr__(name: str) -> Any:
    """The two classes, whose modules need Optuna and are imported when one is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
