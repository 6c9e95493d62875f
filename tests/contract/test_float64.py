"""In double precision our parts give the loss and the gradients that they give in single precision.

Whoever checks a gradient, or hunts a NaN, calls ``model.double()``. A part that makes a tensor of
its own in float32 fails there, or quietly works out its result in float32.
"""

import copy

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.testing import assert_close

from tests.contract.parts import host_of, name_of, small_configs


@pytest.mark.parametrize("path", small_configs(), ids=name_of)
def test_double_precision_gives_what_single_gives(path):
    host = host_of(path)
    model = host.build(path)
    for module in model.modules():
        if isinstance(module, _DropoutNd | _BatchNorm):
            module.eval()  # no chance, and no statistics of tiny maps
    found = {}
    for dtype in (torch.float32, torch.float64):
        net = copy.deepcopy(model).to(dtype)
        loss = host.loss(net, host.batch(counts=(4, 3)))
        loss.backward()
        grads = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
        found[dtype] = loss.detach(), grads
    (loss, grads), (exact, exact_grads) = found.values()
    assert exact.dtype == torch.float64
    assert_close(loss.double(), exact, rtol=1e-3, atol=1e-5)
    assert grads.keys() == exact_grads.keys()
    largest = max(x.norm() for x in exact_grads.values())
    for name, want in exact_grads.items():
        assert want.dtype == torch.float64, name
        error = (grads[name].double() - want).norm()
        assert error <= 0.02 * want.norm() + 1e-4 * largest, f"{name}: {error} of {want.norm()}"
