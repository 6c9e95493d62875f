"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.search.autohas import choice, differentiable, loop  # noqa: F401  registers the parts
from mmext.search.tuner import report, segment  # noqa: F401  registers the parts
