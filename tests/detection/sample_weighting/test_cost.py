"""What the network costs: FLOPs as the layers' sizes say, bytes kept as its hidden layers."""

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from mmext.detection.sample_weighting import predictor
from mmext.detection.sample_weighting.build import sample_weighting
from mmext.measure import bytes_kept_for_backward, flops, num_operators
from tests.detection.sample_weighting.roi_scenes import build, losses_of, scene
from tests.detection.sample_weighting.scenes import objective, samples

E = 64
WIDTHS = dict(iou=1, prob=1, cls=1, box=4)


def linear(rows, inputs, outputs):
    return 2 * rows * inputs * outputs


def embedding(rows, width):
    return linear(rows, width, E) + linear(rows, E, E)


@pytest.mark.parametrize(("positives", "negatives"), [(256, 768), (3, 1021)])
def test_flops_are_those_of_the_layers(positives, negatives):
    x = samples(positives, negatives)
    # Of a negative only the classification loss is not 0: what zeros give is worked out in one more
    # row.
    rows, everybody = positives + 1, positives + negatives
    of_positives = (
        sum(embedding(rows, width) for width in WIDTHS.values())
        + linear(rows, 4 * E, E)
        + linear(positives, E, 2)
    )
    of_losses = embedding(everybody, 1) + linear(everybody + 1, E, E) + linear(everybody, E, 1)
    assert flops(lambda: sample_weighting()(x)) == of_positives + of_losses
    assert flops(lambda: sample_weighting(mode="closed_form")(x)) == 0


def test_bytes_kept_are_those_of_the_hidden_layers():
    positives, negatives = 256, 768
    weighting, x = sample_weighting(), samples(positives, negatives)
    kept = bytes_kept_for_backward(lambda: objective(weighting, x), besides=weighting.parameters())
    # Of float32, two layers of each embedding, all of them joined, and the last hidden one: per
    # positive 4 * 2 + 4 + 1 layers, and for each sample's classification loss 2 + 1.
    hidden = 4 * E * (positives * 13 + (positives + negatives) * 3)
    assert hidden <= kept <= 1.15 * hidden
    closed = sample_weighting(mode="closed_form")
    assert bytes_kept_for_backward(lambda: objective(closed, x)) == 0


MOST = {"mlp": 225, "closed_form": 110, "constant": 65}
"""Operators of a box head's losses besides the host's; they were 331, 236 and 212."""


@pytest.mark.parametrize("mode", MOST)
def test_a_box_head_needs_few_operators_more_than_the_host_s(mode):
    x = scene(200, 824)
    ours, host = build(swn=dict(mode=mode)), build("Shared2FCBBoxHead")
    losses_of(ours, x)  # the first step looks at the weights
    plain = num_operators(lambda: losses_of(host, x))
    assert num_operators(lambda: losses_of(ours, x)) <= plain + MOST[mode]


def test_many_negatives_take_few_blocks_of_operators(monkeypatch):
    """In blocks of 16,384 they took 6,872.

    A GPU's blocks are wider than a CPU's, where caches count.
    """
    monkeypatch.setitem(predictor.BLOCK, "cpu", predictor.BLOCK["other"])
    weighting = sample_weighting(cls_mode="joint")
    weighting(samples())  # the first step looks at the weights
    for number, most in ((10_000, 390), (60_000, 430), (400_000, 550)):
        x = samples(100, number)
        assert num_operators(lambda x=x: objective(weighting, x).backward()) <= most


@pytest.mark.parametrize("mode", MOST)
def test_weights_make_nobody_wait_but_where_they_are_logged(mode):
    """Every wait is an operator of its own: copies to the CPU, and indices of what is true."""
    weighting, x = sample_weighting(mode=mode), samples()
    weighting(x)
    seen = []

    class Waits(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func._schema.name)
            return func(*args, **(kwargs or {}))

    with Waits():
        weighting(x)
    assert seen
    assert not {
        "aten::_local_scalar_dense",
        "aten::nonzero",
        "aten::masked_select",
        "aten::is_nonzero",
    } & set(seen)
