"""Models of the hosts, two ranks, and half precision: the loop needs a scalar loss and no more."""

import copy
import math
import os

import pytest
import torch
from mmengine.dist import get_rank
from mmengine.model import MMDistributedDataParallel

from mmext.engine.amp import Bfloat16OptimWrapper
from mmext.errors import BadInputError
from mmext.search.autohas.trial import require_plain_steps
from tests.checkout import REPO
from tests.contract.parts import host_of
from tests.search.autohas.small_run import LR, RATES, Batches, Net, loop_of

CONFIGS = {
    "detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees": "model.bbox_head.loss_bbox.loss_weight",
    "segmentation/dnl/dnl_mobilenet-v2_1xb4-600i_stamps": (
        "model.decode_head.loss_decode.loss_weight"
    ),
}


class One:
    """A data loader of one batch."""

    sampler = batch_sampler = None

    def __init__(self, batch):
        self.batch = batch

    def __iter__(self):
        yield copy.deepcopy(self.batch)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_detector_and_a_segmentation_model(tmp_path, name):
    path = REPO / "configs" / f"{name}.py"
    host, key = host_of(path), CONFIGS[name]
    model = host.build(path)
    size = host.image_size(model)
    batch = host.batch(counts=(2, 1), size=size, num_classes=host.num_classes(model))
    space = {LR: dict(basis=RATES[:3]), key: dict(basis=[0.5, 2.0])}
    loop = loop_of(tmp_path, model=model, space=space, updates=2, candidates=3)
    loop.dataloader = One(batch)
    loop.runner.build_dataloader = lambda config, seed: One(batch)
    loop._prepare()
    for _ in range(2):
        loop.run_iter()
    for outputs in loop.runner.outputs:
        assert outputs["committed"] == 1
        assert math.isfinite(outputs["val_loss"])
    assert all(len(p) for p in loop.controller.curve[-1]["probabilities"].values())


def test_bfloat16_searches_and_measures_in_it(tmp_path):
    loop = loop_of(
        tmp_path,
        updates=2,
        optimiser=lambda m: Bfloat16OptimWrapper(torch.optim.SGD(m.parameters(), lr=0.01)),
    )
    loop.run()
    assert all(math.isfinite(one["val_loss"]) for one in loop.runner.outputs)


def search(rank, folder):
    """Of one rank: each has its own batches and its own seed."""
    os.makedirs(f"{folder}/{rank}", exist_ok=True)
    loop = loop_of(f"{folder}/{rank}", seed=100, steps=6, updates=2, controller=dict(delay=0.0))
    loop.dataloader = Batches(0, 700, 64, seed=get_rank())
    loop.runner.seed += rank
    loop.runner.model = MMDistributedDataParallel(loop.runner.model, device_ids=None)
    drawn = []
    run_iter = loop.run_iter

    def noted():
        drawn.append([one[LR] for one in loop.controller.draw(loop.iter, 4)])
        run_iter()

    loop.run_iter = noted
    loop.run()
    weights = torch.cat([p.detach().flatten() for p in loop.model.parameters()])
    theta = loop.controller.policy.logits[LR].tolist()
    return dict(theta=theta, drawn=drawn, weights=weights)


def test_two_ranks_draw_the_same_and_agree(tmp_path, two_ranks):
    first, second = two_ranks(search, str(tmp_path))
    assert first["drawn"] == second["drawn"]
    assert first["theta"] == second["theta"]
    assert any(first["theta"])
    assert torch.equal(first["weights"], second["weights"])


def test_other_wrappers_are_refused():
    class Sharded(torch.nn.parallel.DistributedDataParallel):
        def __init__(self, module):
            torch.nn.Module.__init__(self)
            self.module = module

    with pytest.raises(BadInputError, match="in MMDistributedDataParallel, got Sharded"):
        require_plain_steps(Sharded(Net()), None)
