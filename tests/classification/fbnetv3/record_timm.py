"""Record what timm's FBNetV3 says, for the test that runs where timm is not installed.

    python -m tests.classification.fbnetv3.record_timm

in an environment with timm, which needs torchvision and has mmseg import all of it. The file holds
the fingerprint of the names and shapes of timm's tensors, and the scores of four pictures by nets
whose weights follow from these names.
"""

import json
from pathlib import Path

import torch

from tests.classification.fbnetv3.nets import filled, fingerprint, scores_of_pictures

FILE = Path(__file__).with_name("timm.json")


def recorded(arch):
    """Names and scores of one net of ten classes."""
    import timm

    net = timm.create_model(f"fbnetv3_{arch}", num_classes=10)
    weights = net.state_dict()
    net.load_state_dict(filled({name: one.shape for name, one in weights.items()}))
    return dict(tensors=fingerprint(weights), scores=scores_of_pictures(net).tolist())


if __name__ == "__main__":
    import timm

    found = {arch: recorded(arch) for arch in ("b", "d", "g")}
    said = dict(timm=timm.__version__, torch=torch.__version__, nets=found)
    FILE.write_text(json.dumps(said, indent=1) + "\n")
