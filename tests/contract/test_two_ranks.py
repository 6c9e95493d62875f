"""Two gloo ranks train like one process on the joined batch, with unequal batches where the host allows."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.modules.dropout import _DropoutNd

from tests.contract.parts import host_of, name_of, small_configs


def step(host, model, data) -> dict:
    """Loss and gradients of one step, without dropout: each rank would draw its own."""
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.eval()
    loss = host.loss(model, data)
    loss.backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    return dict(loss=loss.detach(), **grads)


def share(data: dict, rank: int) -> dict:
    return {key: [values[rank]] for key, values in data.items()}


def rank_main(rank: int, path, folder) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    host = host_of(path)
    model = host.build(path)
    torch.save(step(host, model, share(host.two_rank_batch(model), rank)), folder / f"rank{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.parametrize("path", small_configs(), ids=name_of)
def test_two_ranks_equal_one_process(path, tmp_path):
    host = host_of(path)
    model = host.build(path)
    data = host.two_rank_batch(model)
    if data is None:
        pytest.skip(
            "the host draws samples at random, or takes statistics of a batch: no two ranks do so alike"
        )
    mp.spawn(rank_main, args=(path, tmp_path), nprocs=2)
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    mean = {key: (ranks[0][key] + ranks[1][key]) / 2 for key in ranks[0]}
    joined = step(host, model, data)
    for name, expected in joined.items():
        # Of the whole tensor: single elements may be differences of large numbers that nearly cancel.
        error = (mean[name] - expected).norm()
        assert error <= 1e-4 * expected.norm(), f"{name}: off by {error:.2g} of {expected.norm():.2g}"
