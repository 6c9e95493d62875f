"""What the network costs: FLOPs as the layers' sizes say, bytes kept as its hidden layers."""

import pytest

from mmext.detection.sample_weighting.build import sample_weighting
from mmext.measure import bytes_kept_for_backward, flops
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
    # Of a negative only the classification loss is not 0: what zeros give is worked out in one more row.
    rows, everybody = positives + 1, positives + negatives
    of_positives = (
        sum(embedding(rows, width) for width in WIDTHS.values())
        + linear(rows, 4 * E, E)
        + linear(positives, E, 2)
    )
    of_losses = embedding(everybody, 1) + linear(everybody, E, E) + linear(everybody, E, 1)
    assert flops(lambda: sample_weighting()(x)) == of_positives + of_losses
    assert flops(lambda: sample_weighting(mode="closed_form")(x)) == 0


def test_bytes_kept_are_those_of_the_hidden_layers():
    positives, negatives = 256, 768
    weighting, x = sample_weighting(), samples(positives, negatives)
    kept = bytes_kept_for_backward(lambda: objective(weighting, x), besides=weighting.parameters())
    # Of float32, two layers of each embedding, all of them joined, and the last hidden one: per positive
    # 4 * 2 + 4 + 1 layers, and for each sample's classification loss 2 + 1.
    hidden = 4 * E * (positives * 13 + (positives + negatives) * 3)
    assert hidden <= kept <= 1.15 * hidden
    closed = sample_weighting(mode="closed_form")
    assert bytes_kept_for_backward(lambda: objective(closed, x)) == 0
