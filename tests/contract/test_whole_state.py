"""with_cp changes memory alone: the whole state after a step is that without it, buffers too."""

import pytest
import torch
from torch.testing import assert_close

from tests.contract.backbones import accepted, backbones, built, frames


def step(part, **cfg):
    """Gradients and state after one step whose norms take the statistics of the batch."""
    net = built(part, norm_eval=False, **cfg)
    net.init_weights()
    with torch.no_grad():
        for parameter in net.parameters():  # what starts as an identity hides what stands before it
            parameter.add_(torch.full_like(parameter, 0.01))
    net.train()
    outs = net(frames(part))
    sum(
        out.square().mean() for out in (outs if isinstance(outs, tuple | list) else (outs,))
    ).backward()
    return {
        name: p.grad for name, p in net.named_parameters() if p.grad is not None
    }, net.state_dict()


WITH_CP = [part for part in backbones() if "with_cp" in accepted(part)]


@pytest.mark.parametrize("part", WITH_CP, ids=lambda part: part.name)
def test_checkpointed_blocks_leave_the_state_that_plain_ones_leave(part):
    (grads, state), (grads_cp, state_cp) = step(part), step(part, with_cp=True)
    assert any(name.endswith("running_mean") for name in state), "nothing here could be moved twice"
    assert_close(state_cp, state, rtol=1e-5, atol=1e-6)
    assert grads.keys() == grads_cp.keys()
    for name, grad in grads.items():
        assert (grads_cp[name] - grad).norm() <= 1e-4 * grad.norm() + 1e-8, name
