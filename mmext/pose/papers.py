"""Table of contents: one import a paper. The registry loads this module and nothing else."""
