"""Formulas of GFLv2: golden numbers, limits, gradients, the authors' probability form as oracle."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.losses import QualityFocalLoss as HostQualityFocalLoss
from torch.testing import assert_close

from mmext.detection.gfl.losses import QualityFocalLoss
from mmext.detection.gfl.v2 import fold_mean, joint_logit, top_probabilities
from tests.detection.gfl.v2_oracle import oracle, probability_qfl


def double(*shape, seed=0, scale=1.0):
    g = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(*shape, generator=g, dtype=torch.float64)).requires_grad_()


class TestStatistics:
    def test_golden_numbers(self):
        logits = torch.tensor([0.0, 1, 2, 3, 0], dtype=torch.float64).view(1, 1, 5, 1, 1)
        top = top_probabilities(logits, 4).flatten()
        expected = [0.6239124967, 0.2295245806, 0.0844373745, 0.0310627741]
        assert_close(top, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-10)
        # Of all the predictor's weights let only that of one side's mean be 1: it reads the top 4's
        # mean.
        weight = torch.zeros(1, 20, 1, 1, dtype=torch.float64)
        weight[0, 4] = 1
        mean = F.conv2d(top.repeat(4).view(1, 16, 1, 1), fold_mean(weight))
        assert mean.item() == pytest.approx(0.2422343065, abs=1e-10)

    def test_the_order_of_the_bins_does_not_matter(self):
        logits = double(2, 4, 17, 3, 5)
        shuffled = logits[:, :, torch.randperm(17)]
        assert_close(top_probabilities(shuffled, 4), top_probabilities(logits, 4))

    @pytest.mark.parametrize("k", [1, 17])
    def test_limits_of_k(self, k):
        top = top_probabilities(double(2, 4, 17, 3, 5), k)
        assert top.shape == (2, 4, k, 3, 5)
        assert (top.diff(dim=2) <= 0).all()
        assert top.sum(2).max() <= 1 + 1e-12
        if k == 17:
            assert_close(top.sum(2), torch.ones_like(top[:, :, 0]))

    def test_half_precision_logits_are_raised_to_float32(self):
        logits = double(2, 4, 17, 3, 5).bfloat16()
        top = top_probabilities(logits, 4)
        assert top.dtype == torch.float32
        assert_close(top, top_probabilities(logits.float(), 4), rtol=0, atol=0)

    def test_gradient(self):
        assert torch.autograd.gradcheck(lambda x: top_probabilities(x, 3), (double(1, 4, 6, 2, 1),))

    @pytest.mark.parametrize("k", [1, 4, 7])
    def test_folding_the_mean_is_exact(self, k):
        weight, top = (
            double(8, 4 * (k + 1), 1, 1, seed=1),
            top_probabilities(double(2, 4, 9, 3, 5), k),
        )
        stats = torch.cat([top, top.mean(2, keepdim=True)], 2).flatten(1, 2)
        folded = F.conv2d(top.flatten(1, 2), fold_mean(weight))
        assert_close(folded, F.conv2d(stats, weight), rtol=1e-12, atol=1e-12)


class TestJointLogit:
    def test_golden_numbers(self):
        c, q = (
            torch.tensor(v, dtype=torch.float64).view(3, 1, 1, 1)
            for v in ([2.0, -4, 0], [1.0, 0, -3])
        )
        z = joint_logit(c, q).flatten()
        expected = dict(
            z=[0.5923940356, -4.7022633214, -3.7177359187],
            s=[0.6439142599, 0.0089931050, 0.0237129366],
        )
        assert_close(z, torch.tensor(expected["z"], dtype=torch.float64), rtol=0, atol=1e-10)
        assert_close(
            z.sigmoid(), torch.tensor(expected["s"], dtype=torch.float64), rtol=0, atol=1e-10
        )

    def test_it_is_the_formula_over_the_whole_range(self):
        c, q = torch.meshgrid(
            *[torch.linspace(-60, 60, 241, dtype=torch.float64)] * 2, indexing="ij"
        )
        z = joint_logit(c[:, None, :, None], q[:, None, :, None])[:, 0, :, 0]
        assert_close(z, -torch.stack([-c, -q, -c - q]).logsumexp(0), rtol=1e-13, atol=1e-13)
        assert_close(z.sigmoid(), c.sigmoid() * q.sigmoid(), rtol=1e-11, atol=1e-13)
        assert_close(z, z.T, rtol=1e-13, atol=1e-13)  # class and quality play the same part

    def test_a_certain_quality_leaves_the_class_score(self):
        c = torch.linspace(-20, 20, 9).view(1, 9, 1, 1)
        assert_close(joint_logit(c, torch.full((1, 1, 1, 1), 200.0)), c)

    def test_it_learns_where_the_probability_has_no_gradient_left(self):
        c, q = (
            torch.full((1, 1, 1, 1), 40.0, dtype=torch.float64, requires_grad=True)
            for _ in range(2)
        )
        (c.sigmoid() * q.sigmoid()).backward()
        assert c.grad.item() < 1e-15  # the witness: the authors' product is flat here
        c.grad = q.grad = None
        F.softplus(joint_logit(c, q)).backward()  # cross-entropy against 0
        assert c.grad.item() == pytest.approx(0.5, abs=1e-9)
        assert q.grad.item() == pytest.approx(0.5, abs=1e-9)

    def test_gradient(self):
        assert torch.autograd.gradcheck(
            joint_logit, (double(2, 3, 2, 2, scale=5), double(2, 1, 2, 2, seed=1, scale=5))
        )

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_scores_are_joined_in_float32(self, dtype):
        c, q = double(2, 3, 4, 4, scale=4).to(dtype), double(2, 1, 4, 4, seed=1).float()
        z = joint_logit(c, q)
        assert z.dtype == torch.float32
        assert_close(z, joint_logit(c.float(), q), rtol=0, atol=0)

    @pytest.mark.parametrize("qfl", [QualityFocalLoss, HostQualityFocalLoss])
    def test_golden_loss_is_mmdet_s_on_the_product(self, qfl):
        c = torch.tensor([[2.0, -4, 0], [1, -2, 0.5]], dtype=torch.float64)
        q = torch.tensor([[1.0], [-0.5]], dtype=torch.float64)
        target = torch.tensor([0, 3]), torch.tensor([0.7, 0], dtype=torch.float64)
        z = joint_logit(c[..., None, None], q[..., None, None])[..., 0, 0]
        rows = qfl(reduction="none")(z, target)
        assert_close(
            rows,
            torch.tensor([0.0627345024, 0.0394909702], dtype=torch.float64),
            rtol=0,
            atol=1e-10,
        )
        product = HostQualityFocalLoss(reduction="none", activated=True)(
            c.sigmoid() * q.sigmoid(), target
        )
        assert_close(rows, product, rtol=1e-12, atol=0)


class TestOracle:
    @pytest.mark.parametrize(("k", "add_mean"), [(4, True), (4, False), (1, True), (5, True)])
    def test_loss_and_gradients_equal_the_authors_probability_form(self, k, add_mean):
        """In double, from maps and weights to the loss; the functions are those the head calls."""
        c, d = double(2, 3, 2, 3), double(2, 4, 5, 2, 3, seed=1, scale=2)
        shapes = (6, 4 * (k + add_mean), 1, 1), (6,), (1, 6, 1, 1), (1,)
        w1, b1, w2, b2 = (double(*shape, seed=i) for i, shape in enumerate(shapes, 2))
        leaves = [c, d, w1, b1, w2, b2]
        target = torch.zeros(2, 3, 2, 3, dtype=torch.float64)
        target[0, 1, 1, 2], target[1, 0, 0, 0] = 0.7, 0.35

        probability = oracle(c, d, ((w1, b1), (w2, b2)), k=k, add_mean=add_mean)
        expected = torch.autograd.grad(probability_qfl(probability, target), leaves)

        top = top_probabilities(d, k).flatten(1, 2)
        hidden = F.conv2d(top, fold_mean(w1) if add_mean else w1, b1).relu()
        z = joint_logit(c, F.conv2d(hidden, w2, b2))
        loss = QualityFocalLoss(reduction="sum")(
            z.permute(0, 2, 3, 1).flatten(0, 2), target.permute(0, 2, 3, 1).flatten(0, 2)
        )
        assert_close(z.sigmoid(), probability, rtol=1e-12, atol=0)
        assert_close(loss, probability_qfl(probability, target), rtol=1e-12, atol=0)
        assert_close(torch.autograd.grad(loss, leaves), expected, rtol=1e-9, atol=1e-15)
