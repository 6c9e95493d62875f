"""Handwritten digits on photographs, with maps.

The same as ``mmext data photo_digits``; mmext/prepare/photo_digits.py says what it makes.
"""

from mmext.prepare.photo_digits import main

if __name__ == "__main__":
    main()
