"""Give people identities: python tools/track.py DETECTIONS.json --images IMAGES.json --out DIR.

The same as ``mmext track``.
"""

from mmext.cli.track import main

if __name__ == "__main__":
    main()
