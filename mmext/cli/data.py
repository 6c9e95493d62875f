"""Fetch and make a small real data set, or weights: mmext data NAME [flags].

Each lies under ./data.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

NAMES = {  # also the module of mmext.prepare
    "trees": "tree crowns from the air, boxes drawn by people (64 + 9 + 2 images)",
    "stamps": (
        "photographic cut-outs on photographs: boxes, masks, semantic maps (1500 + 300 images)"
    ),
    "stamps_sizes": "those cut-outs at 24 to 200 pixels: boxes (800 + 100 + 200 images)",
    "context": (
        "a mechanism test: something far away tells what an object is called (2 x 1800 scenes)"
    ),
    "camera_motion": (
        "clips of a camera that moves over photographs, seven classes (1050 + 350 clips)"
    ),
    "fashion_mnist": "ten kinds of clothes, grey, 28 x 28 (60,000 + 10,000 pictures)",
    "digits": "handwritten digits of 8 x 8 pixels (1,797 pictures)",
    "photo_digits": "handwritten digits on photographs, with maps (320 + 100 + 200 pictures)",
    "mouse": "a running mouse: 17 points marked by people, and a video (90 + 994 frames)",
    "coco_splits": "shares of COCO's labels, 1 to 50 %, for teachers and students",
    "walkers": "people who walk past each other, a real video, and boxes of a plain detector",
    "mobilenet_v2": "ImageNet weights of MobileNetV2 for mmdet and mmseg",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    lines = [f"  {name:14} {what}" for name, what in NAMES.items()]
    parser = argparse.ArgumentParser(
        description="Fetch and make a small real data set, or weights, under ./data.",
        epilog="\n".join(
            ["names:", *lines, "", "mmext data NAME --help tells where it comes from."]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=NAMES, metavar="NAME", help="one of the list below")
    parser.add_argument("flags", nargs=argparse.REMAINDER, metavar="...", help="its own flags")
    args = parser.parse_args(argv)
    sys.argv = [f"mmext data {args.name}", *args.flags]
    importlib.import_module(f"mmext.prepare.{args.name}").main(args.flags)
