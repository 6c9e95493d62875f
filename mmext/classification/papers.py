"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.classification.stack import (  # noqa: F401  registers the parts
    arrays,
    backbones,
    classifier,
    folders,
    heads,
    losses,
    metrics,
    noise,
    transforms,
)
