"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.self_training.pseudo_labels import (  # noqa: F401  registers the parts
    operations,
    sampler,
    sources,
    wrapper,
)
