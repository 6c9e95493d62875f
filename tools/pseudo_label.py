"""Label pictures: python tools/pseudo_label.py CONFIG CHECKPOINT --images DIR --out DIR.

The same as ``mmext pseudo-label``.
"""

from mmext.cli.pseudo_label import main

if __name__ == "__main__":
    main()
