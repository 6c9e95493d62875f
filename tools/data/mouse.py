"""A running mouse: 90 frames whose 17 points people marked, and 994 frames without labels.

The same as ``mmext data mouse``; mmext/prepare/mouse.py says what it makes.
"""

from mmext.prepare.mouse import main

if __name__ == "__main__":
    main()
