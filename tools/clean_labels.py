"""Find labels not to be trusted: python tools/clean_labels.py CONFIG --out clean.txt [flags].

The same as ``mmext clean-labels``.
"""

from mmext.cli.clean_labels import main

if __name__ == "__main__":
    main()
