"""RoIReIDHead and its losses: against loops and the host's, unknown identities, statistics."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.losses import TripletLoss
from torch.testing import assert_close

from mmext.measure import host_waits
from mmext.pose.fastpose.reid import batch_hard_triplet, norm_over
from mmext.pose.fastpose.reid_head import RoIReIDHead

IDENTITY = torch.tensor([0, 0, 2, 5, 2, 0, 7])


def embeddings(n=7, d=6, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(n, d, generator=g, dtype=dtype), dim=1)


def triplet_by_loop(x, identity, margin):
    """Each anchor's farthest same and nearest other, itself among the same."""
    values = []
    for i, own in enumerate(identity.tolist()):
        distance = [float((x[i] - x[j]).norm()) for j in range(len(x))]
        pairs = list(zip(distance, identity.tolist(), strict=True))
        same = [d for d, other in pairs if other == own]
        others = [d for d, other in pairs if other not in (own, -1)]
        learnt = own >= 0 and others
        values.append(max(0.0, max(same) - min(others) + margin) if learnt else None)
    return values


@pytest.mark.parametrize("unknown", [(), (1, 3), range(7)], ids=["none", "some", "all"])
def test_triplets_are_those_of_a_loop(unknown):
    identity = IDENTITY.clone()
    identity[list(unknown)] = -1
    loss, counted = batch_hard_triplet(embeddings(), identity, margin=0.3)
    expected = triplet_by_loop(embeddings(), identity, 0.3)
    assert counted.tolist() == [one is not None for one in expected]
    assert_close(
        loss, torch.tensor([one or 0.0 for one in expected], dtype=loss.dtype), atol=1e-5, rtol=0
    )


def test_triplets_are_the_hosts_where_it_has_any():
    x = embeddings(dtype=torch.float32)
    loss, counted = batch_hard_triplet(x, IDENTITY, margin=0.3)
    assert_close(
        loss.sum() / counted.sum(), TripletLoss(margin=0.3)(x, IDENTITY), atol=1e-4, rtol=0
    )
    assert loss.sum() > 0


def test_one_identity_has_no_triplets():
    x = embeddings().requires_grad_()
    loss, counted = batch_hard_triplet(x, torch.full((7,), 3), margin=0.3)
    assert not loss.any()
    assert not counted.any()
    loss.sum().backward()
    assert not x.grad.any()


def test_gradients_are_those_of_differences():
    def run(x):
        return batch_hard_triplet(F.normalize(x, dim=1), IDENTITY, margin=0.3)[0]

    assert torch.autograd.gradcheck(run, torch.randn(7, 4, dtype=torch.float64).requires_grad_())


def test_equal_embeddings_have_finite_gradients():
    x = torch.ones(4, 3).requires_grad_()
    loss, _ = batch_hard_triplet(F.normalize(x, dim=1), torch.tensor([0, 0, 1, 1]), margin=0.3)
    loss.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_norm_is_the_batch_norm_of_what_counts():
    x = torch.randn(9, 5, dtype=torch.float64) * 3 + 2
    counted = torch.tensor([True, False, True] * 3)
    norm = torch.nn.BatchNorm1d(5, dtype=torch.float64)
    normed, mean, var = norm_over(x, counted, norm.running_mean, norm.running_var, eps=norm.eps)
    assert_close(normed[counted], norm(x[counted]))
    assert_close(norm.running_mean, 0.1 * mean)
    assert_close(norm.running_var, 0.9 + 0.1 * var)


@pytest.mark.parametrize("count", [0, 1])
def test_below_two_objects_the_running_statistics_count(count):
    x, mean, var = torch.randn(3, 5), torch.randn(5), torch.rand(5) + 1
    counted = torch.arange(3) < count
    normed, *statistics = norm_over(x, counted, mean, var, eps=0)
    assert_close(normed, (x - mean) / var.sqrt())
    assert_close(statistics, [mean, var])


@pytest.fixture
def head():
    torch.manual_seed(0)
    head = RoIReIDHead(8, in_channels=4, conv_channels=4, embed_channels=6)
    head.init_weights()
    return head


def test_unknown_identities_train_nothing(head):
    x = embeddings(dtype=torch.float32) * 2
    alone, twin = copy.deepcopy(head), copy.deepcopy(head)
    known = IDENTITY >= 2
    expected = alone.loss_by_feat(x[known], IDENTITY[known])
    found = twin.loss_by_feat(x, IDENTITY.where(known, -1))
    assert found.keys() == {"loss_triplet", "loss_identity"}
    assert_close(found, expected)
    assert_close(twin.state_dict(), alone.state_dict())
    assert not torch.equal(twin.neck.running_mean, head.neck.running_mean)


def test_identities_beyond_the_classifier_train_by_triplets_alone(head):
    x = embeddings(dtype=torch.float32).requires_grad_()
    losses = head.loss_by_feat(x, IDENTITY + 8)
    assert losses["loss_identity"] == 0
    assert losses["loss_triplet"] > 0
    losses["loss_identity"].backward()
    assert not x.grad.any()


def test_the_classifier_sees_the_norm(head):
    x = embeddings(dtype=torch.float32)
    normed = torch.nn.BatchNorm1d(6)(x)
    scores = normed @ head.classifier.weight.T
    expected = F.cross_entropy(scores, IDENTITY)
    assert_close(head.loss_by_feat(x, IDENTITY)["loss_identity"], expected)


def test_weights_of_bfloat16_are_summed_in_float32(head):
    x = embeddings(dtype=torch.float32)
    half = copy.deepcopy(head).bfloat16()
    rounded = copy.deepcopy(head)
    rounded.load_state_dict(half.state_dict())
    found = half.loss_by_feat(x.bfloat16(), IDENTITY)
    expected = rounded.loss_by_feat(x.bfloat16().float(), IDENTITY)
    assert_close(found, expected)
    sum(found.values()).backward()
    assert half.classifier.weight.grad.dtype == torch.bfloat16
    assert half.classifier.weight.grad.any()


def test_without_identities_there_is_no_classifier():
    head = RoIReIDHead(in_channels=4, conv_channels=4, embed_channels=6)
    assert not [name for name, _ in head.named_parameters() if "classifier" in name]
    losses = head.loss_by_feat(embeddings(dtype=torch.float32), IDENTITY)
    assert losses.keys() == {"loss_triplet"}


def test_statistics_stay_in_testing(head):
    head.eval()
    before = copy.deepcopy(head.state_dict())
    head.loss_by_feat(embeddings(dtype=torch.float32), IDENTITY)
    assert_close(head.state_dict(), before)


def test_embeddings_have_length_one(head):
    found = head.predict_by_feat(head(torch.randn(5, 4, 14, 7)))
    assert_close(found.norm(dim=1), torch.ones(5))
    assert head.predict_by_feat(head(torch.zeros(0, 4, 14, 7))).shape == (0, 6)


def test_neither_loss_waits_for_a_gpu(head):
    x = embeddings(dtype=torch.float32).requires_grad_()
    assert not host_waits(lambda: sum(head.loss_by_feat(x, IDENTITY).values()).backward())
