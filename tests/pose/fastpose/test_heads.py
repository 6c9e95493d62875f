"""KeypointRCNNHead and VisibilityHead: shapes, what is divided by what, and two ranks."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from mmext.pose.fastpose.keypoint_head import KeypointRCNNHead, VisibilityHead, mean_over


@pytest.fixture
def head():
    torch.manual_seed(0)
    head = KeypointRCNNHead(3, in_channels=4, num_convs=2, conv_channels=8)
    head.init_weights()
    return head


def scene(n=4, k=3):
    g = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[10.0, 10, 66, 122]]).repeat(n, 1)
    points = boxes[:, None, :2] + torch.rand(n, k, 2, generator=g) * torch.tensor([56.0, 112])
    return points, torch.rand(n, k, generator=g) < 0.6, boxes


def test_shapes(head):
    maps, features = head(torch.randn(5, 4, 14, 14))
    assert maps.shape == (5, 3, 28, 28)
    assert features.shape == (5, 8, 14, 14)
    points, peaks = head.predict_by_feat(maps, torch.tensor([[0.0, 0, 30, 60]]).repeat(5, 1))
    assert points.shape == (5, 3, 2)
    assert ((peaks > 0) & (peaks < 1)).all()
    assert VisibilityHead(3, in_channels=8)(features).shape == (5, 3)


def test_the_papers_head_is_mask_rcnns():
    with torch.device("meta"):
        head = KeypointRCNNHead(17)
        maps, _ = head(torch.zeros(1, 256, 14, 14))
    convs = 256 * 512 * 9 + 512 + 7 * (512 * 512 * 9 + 512)
    deconv = 512 * 17 * 16 + 17
    assert sum(p.numel() for p in head.parameters()) == convs + deconv
    assert [n * head.scale for n in maps.shape[2:]] == [56, 56]


def test_the_keypoint_loss_is_a_mean_over_labelled_points(head):
    points, labelled, boxes = scene()
    points[0, :, 0] = 9  # outside
    maps = torch.randn(4, 3, 28, 28)
    found = head.loss_by_feat(maps, points, labelled, boxes)["loss_keypoint"]
    large = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    values = []
    for i in range(1, 4):
        for k in range(3):
            if labelled[i, k]:
                x, y = ((points[i, k] - boxes[i, :2]) / torch.tensor([1.0, 2.0])).int().tolist()
                values.append(-large[i, k].flatten().log_softmax(0)[y * 56 + x])
    assert len(values) > 3
    assert_close(found, torch.stack(values).mean())


def test_visibility_learns_labelled_points_alone():
    head = VisibilityHead(2, in_channels=4, loss_weight=1)
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]]).requires_grad_()
    visible = torch.tensor([[2, 1], [0, 2]])
    loss = head.loss_by_feat(logits, visible)["loss_visibility"]
    seen = torch.tensor([2.0, 1.0, 3.0])  # the sign of what is hidden turned around
    assert_close(loss, F.softplus(-seen).mean())
    loss.backward()
    assert logits.grad[1, 0] == 0


def test_nothing_to_learn_costs_nothing_and_keeps_its_graph(head):
    x = torch.zeros(0, 4, 14, 14)
    maps, features = head(x)
    logits = VisibilityHead(3, in_channels=8)(features)
    points, labelled, boxes = (one[:0] for one in scene())
    losses = head.loss_by_feat(maps, points, labelled, boxes)
    losses |= VisibilityHead(3).loss_by_feat(logits, labelled.long())
    total = sum(losses.values())
    assert total == 0
    total.backward()
    assert all(p.grad is not None and not p.grad.any() for p in head.parameters())


def test_a_mean_over_nothing_is_zero_with_a_graph():
    x = torch.randn(3, requires_grad=True)
    loss = mean_over(x, torch.zeros(3, dtype=torch.bool))
    assert loss == 0
    loss.backward()
    assert not x.grad.any()


def step(which, rows):
    """Gradients of a head's parameters on some of a batch's rows, and its losses."""
    torch.manual_seed(0)
    points, labelled, boxes = scene(6)
    x = torch.randn(6, 4, 14, 14)
    if which == "visibility":
        head = VisibilityHead(3, in_channels=4)
        losses = head.loss_by_feat(head(x[rows]), (labelled.long() * 2)[rows])
    else:
        head = KeypointRCNNHead(3, in_channels=4, num_convs=1, conv_channels=4)
        head.init_weights()
        losses = head.loss_by_feat(head(x[rows])[0], points[rows], labelled[rows], boxes[rows])
    (loss,) = losses.values()
    loss.backward()
    return loss.detach(), [p.grad for p in head.parameters()]


def step_of_rank(rank, which):
    return step(which, slice(0, 1) if rank == 0 else slice(1, 6))


@pytest.mark.parametrize("which", ["keypoint", "visibility"])
def test_two_ranks_with_unlike_counts_equal_one_process(which, two_ranks):
    (loss_a, grads_a), (loss_b, grads_b) = two_ranks(step_of_rank, which)
    loss, grads = step(which, slice(None))
    assert_close((loss_a + loss_b) / 2, loss)
    mean = [(a + b) / 2 for a, b in zip(grads_a, grads_b, strict=True)]
    assert_close(mean, grads, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(loss_a, loss_b, rtol=0.1)
