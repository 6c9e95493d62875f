"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.layers import disentangled_non_local, em_attention  # noqa: F401  registers the parts
from mmext.segmentation import dnl, emanet  # noqa: F401  registers the parts
