"""Test a model: python tools/test.py CONFIG CHECKPOINT [flags]. Ranks: dist_test.sh, slurm_test.sh.

The same as ``mmext test``.
"""

from mmext.cli.test import main

if __name__ == "__main__":
    main()
