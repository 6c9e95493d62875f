"""Two gloo ranks: ``cls_scope="global"`` and ``w_loc="auto"`` see the images of both."""

import pytest
import torch
from torch.testing import assert_close

from mmext.detection.iou_balanced import balance
from tests.detection.iou_balanced.heads import build, losses, outputs, truth

KINDS = ["RetinaHead", "ATSSHead", "FCOSHead"]


def weights_of(kind, scope, counts, images):
    """Classification weights, the IoUs they belong to, and w_loc, of some of the two images."""
    recorded = {}
    weight = balance.iou_balanced_weight

    def spy(loss, iou, **kwargs):
        recorded.update(iou=iou, weight=weight(loss, iou, **kwargs))
        return recorded["weight"]

    balance.iou_balanced_weight = spy
    try:
        head = build(kind, dict(cls_scope=scope, w_loc="auto"))
        out = [[m.detach()[images] for m in maps] for maps in outputs(kind)]
        gts = [gt[:n] for gt, n in zip(truth((4, 3)), counts, strict=True)]
        found = losses(kind, head, out, [gts[i] for i in images])
    finally:
        balance.iou_balanced_weight = weight
    return dict(recorded, w_loc=found["w_loc"])


def of_rank(rank):
    found = {}
    for kind in KINDS:
        found[f"{kind} one-image-each"] = weights_of(kind, "global", (4, 3), [rank])
        # One rank has both images, the other one image without objects.
        counts, images = ((4, 3), [0, 1]) if rank == 0 else ((0, 0), [0])
        found[f"{kind} no-objects-on-one"] = weights_of(kind, "global", counts, images)
    return found


@pytest.fixture(scope="module")
def ranks(two_ranks):
    return two_ranks(of_rank)


@pytest.mark.parametrize("case", ["one-image-each", "no-objects-on-one"])
@pytest.mark.parametrize("kind", KINDS)
def test_global_weights_are_those_of_the_joined_batch(kind, case, ranks):
    found = [rank[f"{kind} {case}"] for rank in ranks]
    joined = weights_of(kind, "batch", (4, 3), [0, 1])
    iou, weight = (torch.cat([x[key] for x in found]) for key in ("iou", "weight"))
    assert len(iou) > 4
    assert_close(
        weight[iou.argsort()], joined["weight"][joined["iou"].argsort()], rtol=1e-5, atol=1e-7
    )
    for x in found:
        assert_close(x["w_loc"], joined["w_loc"], rtol=1e-5, atol=0)
