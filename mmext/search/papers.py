"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.search.tuner import report  # noqa: F401  registers the parts
