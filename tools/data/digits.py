"""Handwritten digits of 8 x 8 pixels (Alpaydin and Kaynak 1998), as scikit-learn ships them.

The same as ``mmext data digits``; mmext/prepare/digits.py says where it comes from.
"""

from mmext.prepare.digits import main

if __name__ == "__main__":
    main()
