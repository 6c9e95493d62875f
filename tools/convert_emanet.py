"""Rename the authors' EMANet weights: python tools/convert_emanet.py final.pth emanet_mmseg.pth.

The same as ``mmext convert emanet``.
"""

import sys

from mmext.cli.convert import main

if __name__ == "__main__":
    main(["emanet", *sys.argv[1:]])
