"""Clips of a camera moving over real photos: motion to recognise, labels exact by construction.

The same as ``mmext data camera_motion``; mmext/prepare/camera_motion.py says what it makes.
"""

from mmext.prepare.camera_motion import main

if __name__ == "__main__":
    main()
