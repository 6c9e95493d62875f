"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.classification.fbnetv3 import backbone, head  # noqa: F401  registers the parts
from mmext.classification.real_labels import (  # noqa: F401  registers the parts
    filtered,
    metric,
    sigmoid_ce,
)
from mmext.classification.residual_labels import losses as residual_losses  # noqa: F401
from mmext.classification.residual_labels import report  # noqa: F401
from mmext.classification.stack import (  # noqa: F401  registers the parts
    arrays,
    backbones,
    classifier,
    folders,
    heads,
    losses,
    metrics,
    mixup,
    noise,
    timm_backbone,
    transforms,
)
