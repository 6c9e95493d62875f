"""A mechanism test for attention: what an object is called depends on something else in the image.

The same as ``mmext data context``; mmext/prepare/context.py says what it makes.
"""

from mmext.prepare.context import main

if __name__ == "__main__":
    main()
