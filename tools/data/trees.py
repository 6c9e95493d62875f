"""Tree crowns from the air as COCO files: real photographs with boxes that people drew.

The same as ``mmext data trees``; mmext/prepare/trees.py says what it makes.
"""

from mmext.prepare.trees import main

if __name__ == "__main__":
    main()
