"""Rows of GFL version 2 at COCO's size: one image of 800 x 1344, 256 channels, 80 classes.

mmdet has no version 2, so "upstream" is version 1 here: the rows tell what the quality predictor
costs.
"""

from mmext.registry import MODELS

from .cases import Case, K, maps

CHANNELS = 256


def forward(side: str) -> Case:
    """The head's forward pass with towers, as in training; target: at most 1.05 of version 1's."""
    name = {"ours": "GFLv2Head", "upstream": "GFLHead"}[side]
    head = MODELS.build(dict(type=f"mmext.{name}", num_classes=K, in_channels=CHANNELS))
    head.init_weights()
    feats = [x.requires_grad_() for x in maps(1, CHANNELS, 0)]
    return Case(lambda: head(feats), lambda: head(feats))
