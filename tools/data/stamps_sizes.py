"""Cut-outs of all sizes on photographs: boxes of 24 to 200 pixels, for questions about scales.

The same as ``mmext data stamps_sizes``; mmext/prepare/stamps_sizes.py says what it makes.
"""

from mmext.prepare.stamps_sizes import main

if __name__ == "__main__":
    main()
