"""AutoML over any config: every family of search behind one command, trials in processes.

Paper     He et al. 2019, https://arxiv.org/abs/1908.00709 (the survey; families as in its last
          version, 2021)
Idea      random, grid, Bayesian, evolutionary, learnt and population-based search, early
          stopping, several objectives and limits on resources, over one space of keys of a config
Host      mmengine; Optuna 5 proposes, tools/train.py trains
Deviates  the survey describes families and no code; which sampler stands for a family, and the
          defaults, are ours
Letters   none

The process that searches imports neither torch nor mmengine: mmengine.config alone costs 500 MB.
What needs them (``inside``) runs in child processes.
"""


def __getattr__(name: str) -> type:
    # Modules of the package are in small letters, and asked for here before they are imported.
    if not name[:1].isupper():
        raise AttributeError(f"module 'mmext.search.tuner' has no attribute {name!r}")
    from mmext.registry import parts_of  # not at the top: it imports mmengine, and so torch

    return parts_of("mmext.search.tuner")(name)
