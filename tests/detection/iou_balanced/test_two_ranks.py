"""Two gloo ranks: ``cls_scope="global"`` and ``w_loc="auto"`` see the images of both."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.testing import assert_close

from mmext.detection.iou_balanced import balance
from tests.detection.iou_balanced.heads import build, losses, outputs, truth

KINDS = ["RetinaHead", "ATSSHead", "FCOSHead"]


def weights_of(kind, scope, counts, images):
    """The classification weights and the IoUs that they belong to, and w_loc, of some of the two images."""
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


def rank_main(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    found = {}
    for kind in KINDS:
        found[f"{kind} one-image-each"] = weights_of(kind, "global", (4, 3), [rank])
        # One rank has both images, the other one image without objects.
        counts, images = ((4, 3), [0, 1]) if rank == 0 else ((0, 0), [0])
        found[f"{kind} no-objects-on-one"] = weights_of(kind, "global", counts, images)
    torch.save(found, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(rank_main, args=(folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("case", ["one-image-each", "no-objects-on-one"])
@pytest.mark.parametrize("kind", KINDS)
def test_global_weights_are_those_of_the_joined_batch(kind, case, ranks):
    found = [rank[f"{kind} {case}"] for rank in ranks]
    joined = weights_of(kind, "batch", (4, 3), [0, 1])
    iou, weight = (torch.cat([x[key] for x in found]) for key in ("iou", "weight"))
    assert len(iou) > 4
    assert_close(weight[iou.argsort()], joined["weight"][joined["iou"].argsort()], rtol=1e-5, atol=1e-7)
    for x in found:
        assert_close(x["w_loc"], joined["w_loc"], rtol=1e-5, atol=0)
