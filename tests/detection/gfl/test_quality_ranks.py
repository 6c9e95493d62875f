"""Two gloo ranks with unequal batches train every quality head like one process, with and without DFL."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from tests.detection.gfl.quality_scenes import KINDS, SIZE, build, losses_of, scene
from tests.detection.gfl.scenes import feature_maps


def gradients(kind, images):
    """Gradients of one step on some of two images, one with many boxes and one with a single one."""
    head = build(kind)
    instances, metas = scene((5, 1))
    maps = tuple(x[images] for x in feature_maps(2, *SIZE))
    losses = losses_of(head, *head(maps), [instances[i] for i in images], [metas[i] for i in images])
    sum(losses.values()).backward()
    return {name: p.grad for name, p in head.named_parameters()}


def rank_main(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save({kind: gradients(kind, [rank]) for kind in KINDS}, folder / f"rank{rank}.pt")
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
