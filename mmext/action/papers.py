"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.action import dnl  # noqa: F401  registers the parts
from mmext.action.stm import backbone, sampling  # noqa: F401  registers the parts
from mmext.layers import disentangled_non_local  # noqa: F401  registers the parts
