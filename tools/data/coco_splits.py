"""COCO with a share of its labels, as files for teachers and students.

The same as ``mmext data coco_splits``; mmext/prepare/coco_splits.py says what it makes.
"""

from mmext.prepare.coco_splits import main

if __name__ == "__main__":
    main()
