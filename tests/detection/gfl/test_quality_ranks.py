"""Two gloo ranks on unequal batches train all quality heads as one process, with or without DFL."""

import pytest

from mmext.detection.gfl.head import GFLHead
from tests.detection.gfl.quality_scenes import KINDS, SIZE, build, losses_of, scene
from tests.detection.gfl.scenes import feature_maps, ground_truth, host_cfg


def gradients(kind, images):
    """Gradients of one step on some of two images, one with many boxes, one with a single one."""
    head = build(kind)
    instances, metas = scene((5, 1))
    maps = tuple(x[images] for x in feature_maps(2, *SIZE))
    losses = losses_of(
        head, *head(maps), [instances[i] for i in images], [metas[i] for i in images]
    )
    sum(losses.values()).backward()
    return {name: p.grad for name, p in head.named_parameters()}


def sides(images):
    """Box sides beyond the last bin, and all, of a step on some of two images, the second empty."""
    head = GFLHead(**host_cfg(), reg_max=2)
    instances, metas = ground_truth((6, 0), *SIZE)
    maps = tuple(x[images] for x in feature_maps(2, *SIZE))
    head.loss_by_feat(*head(maps), [instances[i] for i in images], [metas[i] for i in images])
    return head.saturation.num_saturated, head.saturation.num_sides


def of_rank(rank):
    found = {kind: gradients(kind, [rank]) for kind in KINDS}
    return found | dict(sides=sides([rank]))


@pytest.fixture(scope="module")
def ranks(two_ranks):
    return two_ranks(of_rank)


@pytest.mark.parametrize("kind", KINDS)
def test_two_ranks_equal_one_process(ranks, kind):
    for name, expected in gradients(kind, [0, 1]).items():
        mean = (ranks[0][kind][name] + ranks[1][kind][name]) / 2
        assert (mean - expected).norm() <= 1e-5 * expected.norm(), name


def test_both_ranks_count_the_box_sides_of_all(ranks):
    """Also the one whose image has no object, which would report some sides of none."""
    num_saturated, num_sides = sides([0, 1])
    assert 0 < num_saturated < num_sides
    assert [rank["sides"] for rank in ranks] == [(num_saturated, num_sides)] * 2
