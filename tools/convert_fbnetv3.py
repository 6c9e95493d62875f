"""Rename FBNetV3's weights of timm or mobile-vision: tools/convert_fbnetv3.py theirs.pth ours.pth.

The same as ``mmext convert fbnetv3``.
"""

import sys

from mmext.cli.convert import main

if __name__ == "__main__":
    main(["fbnetv3", *sys.argv[1:]])
