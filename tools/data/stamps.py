"""Photographic cut-outs on photographs: boxes, masks and semantic maps, exact by construction.

The same as ``mmext data stamps``; mmext/prepare/stamps.py says what it makes.
"""

from mmext.prepare.stamps import main

if __name__ == "__main__":
    main()
