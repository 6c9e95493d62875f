"""Train a model: python tools/train.py CONFIG [flags]. Ranks: dist_train.sh, slurm_train.sh.

The same as ``mmext train``.
"""

from mmext.cli.train import main

if __name__ == "__main__":
    main()
