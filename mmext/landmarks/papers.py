"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.landmarks.stack import (  # noqa: F401  registers the parts
    aflw,
    coco,
    codec,
    datasets,
    detector,
    frames,
    metric,
    pts,
    tables,
    transforms,
)
from mmext.landmarks.supervised import (  # noqa: F401  registers the parts
    optim,
    stacked_hourglass,
    vgg_cpm,
)
from mmext.landmarks.ts3 import (  # noqa: F401  registers the parts
    loop,
    model,
    optimizers,
    report,
    teacher,
)
