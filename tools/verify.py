"""Check a config, its data and its weights: python tools/verify.py CONFIG [--decode].

The same as ``mmext verify``.
"""

from mmext.cli.verify import main

if __name__ == "__main__":
    main()
