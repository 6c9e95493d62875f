"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.landmarks.supervised import (  # noqa: F401  registers the parts
    aflw,
    coco,
    codec,
    datasets,
    detector,
    frames,
    metric,
    optim,
    pts,
    stacked_hourglass,
    tables,
    transforms,
    vgg_cpm,
)
