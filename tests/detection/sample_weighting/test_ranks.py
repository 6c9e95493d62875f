"""Two gloo ranks with different numbers of positives: one optimum, one network, nobody waits."""

import math

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from mmext.detection.sample_weighting.weighting import SampleWeighting
from tests.detection.sample_weighting.scenes import objective, samples

SHARES = (dict(positives=6, negatives=18, seed=0), dict(positives=0, negatives=10, seed=1))


class Objective(nn.Module):
    """What is trained on, as a module that can be wrapped for several ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.weighting = SampleWeighting()
        nn.init.normal_(self.weighting.predictor.last.weight)

    def forward(self, share):
        return objective(self.weighting, samples(**share))


def rank_main(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    closed = SampleWeighting(mode="closed_form")(samples(**SHARES[rank]))
    torch.manual_seed(0)
    model = DistributedDataParallel(Objective())  # waits for ever if a parameter has no gradient
    model(SHARES[rank]).backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    torch.save(dict(cls=closed.cls, box=closed.box, grads=grads), folder / f"rank{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def test_ranks_with_different_numbers_of_positives(tmp_path):
    mp.spawn(rank_main, args=(tmp_path,), nprocs=2)
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]

    # A group's shared weight is where w * L / divisor + lambda * m is least for the sums of both ranks.
    one, other = (samples(**share) for share in SHARES)
    divisor = (one.cls_divisor + other.cls_divisor) / 2
    loss = (one.cls[6:].sum() + other.cls.sum()) / 2
    expected = (0.5 * divisor / loss).clamp(math.exp(-2), math.exp(2))
    assert_close(ranks[0]["cls"][6:], expected.expand(18))
    assert_close(ranks[1]["cls"], expected.expand(10))
    assert len(ranks[1]["box"]) == 0

    for name, grad in ranks[0]["grads"].items():
        assert torch.isfinite(grad).all()
        assert torch.equal(grad, ranks[1]["grads"][name])
    assert any(grad.abs().sum() > 0 for grad in ranks[0]["grads"].values())
