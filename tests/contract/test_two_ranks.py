"""Two gloo ranks train like one process on the joined batch.

Their batches are unequal where the host allows.
"""

import pytest
from torch.nn.modules.dropout import _DropoutNd

from tests.contract.parts import host_of, name_of, small_configs, trained


def step(host, model, data) -> dict:
    """Loss and gradients of one step, without dropout: each rank would draw its own."""
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.eval()
    loss = host.loss(model, data)
    loss.backward()
    grads = {name: p.grad for name, p in trained(model)}
    return dict(loss=loss.detach(), **grads)


def share(data: dict, rank: int) -> dict:
    return {key: [values[rank]] for key, values in data.items()}


def step_of_rank(rank: int, path) -> dict:
    host = host_of(path)
    model = host.build(path)
    return step(host, model, share(host.two_rank_batch(model), rank))


@pytest.mark.parametrize("path", small_configs(), ids=name_of)
def test_two_ranks_equal_one_process(path, two_ranks):
    host = host_of(path)
    model = host.build(path)
    data = host.two_rank_batch(model)
    if data is None:
        pytest.skip(
            "the host draws samples at random, or takes statistics of a batch: no two ranks do so "
            "alike"
        )
    ranks = two_ranks(step_of_rank, path)
    mean = {key: (ranks[0][key] + ranks[1][key]) / 2 for key in ranks[0]}
    joined = step(host, model, data)
    for name, expected in joined.items():
        # Of the whole tensor: single elements may be differences of large numbers that nearly
        # cancel.
        error = (mean[name] - expected).norm()
        # Some gradients are nothing but rounding: a constant on all logits of a softmax changes
        # nothing.
        assert error <= 1e-4 * expected.norm() + 1e-8, (
            f"{name}: off by {error:.2g} of {expected.norm():.2g}"
        )
