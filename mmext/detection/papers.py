"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.detection.gfl import head as gfl_head  # noqa: F401  registers the part
