"""Files with and without what only training needs load strictly, by torch and by mmengine."""

import copy
import pickle

import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from mmext.engine.optional_weights import only_for_training


class Head(nn.Module):
    """A layer; with ``extra`` a network and a counter that only training needs."""

    def __init__(self, *, extra=True):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        if extra:
            self.net = nn.Linear(2, 3)
            self.register_buffer("calib_steps", torch.tensor(5))
        only_for_training(self, "net.", "calib_")


class Model(nn.Module):
    def __init__(self, *, extra=True):
        super().__init__()
        self.heads = nn.ModuleList([Head(extra=extra), Head(extra=extra)])


LOADS = pytest.mark.parametrize(
    "load", [nn.Module.load_state_dict, load_state_dict], ids=["torch", "mmengine"]
)


@LOADS
@pytest.mark.parametrize(
    "copied", [lambda x: x, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_file_may_lack_it(load, copied):
    ours, host = copied(Model()), Model(extra=False)
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    file = host.state_dict()
    load(ours, file, strict=True)
    assert len(file) == 4, "the file is left as it is"
    for key, value in ours.state_dict().items():
        assert torch.equal(value, file.get(key, before[key]))


@LOADS
def test_a_file_may_have_it(load):
    ours, host = Model(), Model(extra=False)
    load(host, ours.state_dict(), strict=True)
    assert torch.equal(host.heads[1].layer.weight, ours.heads[1].layer.weight)
    other = Model()
    load(other, ours.state_dict(), strict=True)
    assert torch.equal(other.heads[0].net.weight, ours.heads[0].net.weight)


@LOADS
@pytest.mark.parametrize("key", ["heads.0.net.bias", "heads.1.layer.bias"])
def test_a_damaged_file_is_still_refused(load, key):
    parts = {k: v for k, v in Model().state_dict().items() if k != key}
    with pytest.raises(RuntimeError, match=key):
        load(Model(), parts, strict=True)
