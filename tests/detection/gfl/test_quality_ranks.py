"""Two gloo ranks with unequal batches train every quality head like one process, with and without DFL."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mmext.detection.gfl.head import GFLHead
from tests.detection.gfl.quality_scenes import KINDS, SIZE, build, losses_of, scene
from tests.detection.gfl.scenes import feature_maps, ground_truth, host_cfg


def gradients(kind, images):
    """Gradients of one step on some of two images, one with many boxes and one with a single one."""
    head = build(kind)
    instances, metas = scene((5, 1))
    maps = tuple(x[images] for x in feature_maps(2, *SIZE))
    losses = losses_of(head, *head(maps), [instances[i] for i in images], [metas[i] for i in images])
    sum(losses.values()).backward()
    return {name: p.grad for name, p in head.named_parameters()}


def sides(images):
    """Box sides beyond the last bin, and all, of a step on some of two images; the second is empty."""
    head = GFLHead(**host_cfg(), reg_max=2)
    instances, metas = ground_truth((6, 0), *SIZE)
    maps = tuple(x[images] for x in feature_maps(2, *SIZE))
    head.loss_by_feat(*head(maps), [instances[i] for i in images], [metas[i] for i in images])
    return head.saturation.num_saturated, head.saturation.num_sides


def rank_main(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    found = {kind: gradients(kind, [rank]) for kind in KINDS}
    torch.save(found | dict(sides=sides([rank])), folder / f"rank{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(rank_main, args=(folder,), nprocs=2)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_two_ranks_equal_one_process(ranks, kind):
    for name, expected in gradients(kind, [0, 1]).items():
        mean = (ranks[0][kind][name] + ranks[1][kind][name]) / 2
        assert (mean - expected).norm() <= 1e-5 * expected.norm(), name


def test_both_ranks_count_the_box_sides_of_all(ranks):
    """Also the one whose image has no object, which would report some sides of none."""
    num_saturated, num_sides = sides([0, 1])
    assert 0 < num_saturated < num_sides
    assert [rank["sides"] for rank in ranks] == [(num_saturated, num_sides)] * 2
