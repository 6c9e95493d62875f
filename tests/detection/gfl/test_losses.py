"""QFL, DFL and integral: golden numbers, oracles, properties, corners, gradients, parity, bytes."""

import math
from typing import ClassVar

import mmdet.models.losses as host
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmext.detection.gfl.losses import (
    DistributionFocalLoss,
    QualityFocalLoss,
    dense_quality_focal_loss,
    distribution_focal_loss,
    integral,
    quality_focal_loss,
)
from mmext.measure import bytes_kept_for_backward

IGNORED = -1


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def oracle_qfl(logits, label, quality, beta):
    """Eq. 2 as a loop over samples and classes, in Python floats."""
    rows = []
    for x_row, c, q in zip(logits.tolist(), label.tolist(), quality.tolist(), strict=True):
        row = 0.0
        for k, x in enumerate(x_row):
            y = q if k == c else 0.0
            s = sigmoid(x)
            row += -(abs(y - s) ** beta) * ((1 - y) * math.log(1 - s) + y * math.log(s))
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


def oracle_dfl(logits, target):
    """Eq. 6 as a loop over samples."""
    rows = []
    for x_row, t in zip(logits.tolist(), target.tolist(), strict=True):
        total = sum(math.exp(x) for x in x_row)
        S = [math.exp(x) / total for x in x_row]
        j = int(t)
        right = (t - j) * math.log(S[j + 1]) if t > j else 0.0
        rows.append(-((j + 1 - t) * math.log(S[j]) + right))
    return torch.tensor(rows, dtype=torch.float64)


def random_case(N=64, K=7, dtype=torch.float32, seed=0):
    """Logits of all sizes, some positives, some background; quality between 0 and 1."""
    g = torch.Generator().manual_seed(seed)
    logits = (4 * torch.randn(N, K, generator=g, dtype=torch.float64)).to(dtype)
    label = torch.randint(0, K + 1, (N,), generator=g)
    label[::3] = K
    quality = torch.rand(N, generator=g, dtype=torch.float64).to(dtype) * (label < K)
    return logits, label, quality


class TestGolden:
    logits: ClassVar = [[0.0, 2.0, -1.0], [1.0, -2.0, 0.5], [-3.0, 0.0, 1.0]]

    def test_quality_focal_loss_and_its_gradient(self):
        pred = torch.tensor(self.logits, requires_grad=True)
        target = (torch.tensor([1, 3, 0]), torch.tensor([0.8, 0.0, 0.3]))
        rows = QualityFocalLoss(reduction="none")(pred, target)
        assert_close(
            rows, torch.tensor([0.1993847271, 1.0810834671, 0.9356689856]), rtol=1e-6, atol=0
        )
        loss = QualityFocalLoss()(pred, target, weight=torch.tensor([1, 1, 0.5]), avg_factor=2)
        assert_close(loss.item(), 0.8741512914, rtol=1e-6, atol=0)
        loss.backward()
        expected = torch.tensor(
            [
                [0.1491433887, 0.0047337506, 0.0262905634],
                [0.3841173387, 0.0024354700, 0.2630758953],
                [-0.0094400651, 0.0745716943, 0.1920586694],
            ]
        )
        assert_close(pred.grad, expected, rtol=1e-5, atol=1e-8)

    def test_distribution_focal_loss(self):
        logits = torch.tensor([[0.0, 1, 2, 3, 0], [0, 0, 0, 0, 0]])
        target = torch.tensor([2.25, 0.0])
        loss = DistributionFocalLoss(loss_weight=0.25)
        rows = loss(logits, target, reduction_override="none")
        assert_close(rows, torch.tensor([0.3054362875, 0.4023594781]), rtol=1e-6, atol=0)
        assert_close(loss(logits, target, avg_factor=4).item(), 0.1769489361, rtol=1e-6, atol=0)

    def test_integral(self):
        logits = torch.tensor([[0.0, 1, 2, 3, 0], [0, 0, 0, 0, 0]])
        assert_close(integral(logits), torch.tensor([2.5394751221, 2.0]), rtol=1e-6, atol=0)


class TestOracle:
    @pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
    def test_qfl_equals_the_loop(self, beta):
        logits, label, quality = random_case(dtype=torch.float64)
        assert_close(
            quality_focal_loss(logits, label, quality, beta=beta),
            oracle_qfl(logits, label, quality, beta),
        )

    def test_float32_is_as_good_as_float32_can_be(self):
        logits, label, quality = random_case(N=4096, K=80, dtype=torch.float64)
        exact = oracle_qfl(logits, label, quality, 2.0)
        single = quality_focal_loss(logits.float(), label, quality.float())
        assert_close(single.double(), exact, rtol=1e-6, atol=1e-7)

    def test_dfl_equals_the_loop(self):
        g = torch.Generator().manual_seed(1)
        logits = torch.randn(50, 9, generator=g, dtype=torch.float64)
        target = torch.rand(50, generator=g, dtype=torch.float64) * 8
        assert_close(distribution_focal_loss(logits, target), oracle_dfl(logits, target))


class TestProperties:
    def test_dense_targets_equal_sparse_ones(self):
        logits, label, quality = random_case()
        dense = torch.zeros_like(logits)
        rows = label < logits.shape[1]
        dense[rows, label[rows]] = quality[rows]
        assert_close(
            dense_quality_focal_loss(logits, dense), quality_focal_loss(logits, label, quality)
        )

    def test_the_loss_is_least_where_the_score_equals_the_quality(self):
        x = torch.linspace(-6, 6, 2001, dtype=torch.float64)[:, None]
        label = torch.zeros(len(x), dtype=torch.long)
        loss = quality_focal_loss(x, label, torch.full((len(x),), 0.7, dtype=torch.float64))
        assert abs(sigmoid(x[loss.argmin()].item()) - 0.7) < 2e-3

    def test_beta_zero_is_binary_cross_entropy(self):
        logits, label, quality = random_case()
        dense = torch.zeros_like(logits)
        rows = label < logits.shape[1]
        dense[rows, label[rows]] = quality[rows]
        bce = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, dense, reduction="none"
        ).sum(1)
        assert_close(quality_focal_loss(logits, label, quality, beta=0.0), bce)

    def test_large_batches_are_cut_into_blocks_without_a_seam(self):
        logits, label, quality = random_case(N=5000, K=80)  # several blocks of 2**17 elements
        whole = quality_focal_loss(logits, label, quality)
        parts = [
            quality_focal_loss(*part)
            for part in zip(logits.split(7), label.split(7), quality.split(7), strict=True)
        ]
        assert_close(whole, torch.cat(parts), rtol=1e-6, atol=1e-7)

    @settings(max_examples=30, deadline=None)
    @given(st.integers(2, 20), st.floats(0, 1))
    def test_dfl_is_least_for_the_two_bins_beside_the_target(self, num_bins, share):
        t = share * (num_bins - 1)
        j = min(int(t), num_bins - 2)
        best = torch.full((1, num_bins), -40.0, dtype=torch.float64)
        best[0, j], best[0, j + 1] = math.log(max(j + 1 - t, 1e-30)), math.log(max(t - j, 1e-30))
        target = torch.tensor([t], dtype=torch.float64)
        least = distribution_focal_loss(best, target)
        other = distribution_focal_loss(best + torch.randn_like(best) / 10, target)
        assert least <= other + 1e-9
        assert_close(integral(best), target, rtol=0, atol=1e-6)


class TestCorners:
    @pytest.mark.parametrize("K", [1, 3])
    def test_no_samples_give_zero_that_keeps_its_graph(self, K):
        pred = torch.zeros(0, K, requires_grad=True)
        loss = QualityFocalLoss()(pred, (torch.zeros(0, dtype=torch.long), torch.zeros(0)))
        loss.backward()
        assert loss.item() == 0
        assert pred.grad.shape == (0, K)

    def test_an_ignored_sample_has_no_loss_and_no_gradient(self):
        logits, label, quality = random_case()
        label[5] = IGNORED
        logits.requires_grad_()
        loss = quality_focal_loss(logits, label, quality)
        loss.sum().backward()
        assert loss[5] == 0
        assert not logits.grad[5].any()
        assert logits.grad[4].all()

    @pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
    def test_extreme_logits_have_finite_losses_and_gradients(self, beta):
        logits = torch.tensor([[-200.0, -30, 0, 17, 40, 200]]).T.contiguous().requires_grad_()
        label = torch.tensor([0, 1, 0, 1, 0, 1])
        loss = quality_focal_loss(logits, label, torch.tensor([0.5, 0, 0.5, 0, 1, 0]), beta=beta)
        loss.sum().backward()
        assert torch.isfinite(loss).all()
        assert torch.isfinite(logits.grad).all()
        assert_close(loss[5], torch.tensor(200.0))  # a sure mistake costs its logit

    @pytest.mark.parametrize("t", [-1.0, 0.0, 16.0, 21.0, math.inf, math.nan])
    def test_dfl_targets_out_of_range_stay_finite(self, t):
        logits = torch.randn(1, 17, requires_grad=True)
        loss = distribution_focal_loss(logits, torch.tensor([t]))
        loss.sum().backward()
        assert torch.isfinite(logits.grad).all()
        if math.isnan(t):
            assert loss.item() == 0
        else:
            nearest = min(max(t, 0), 16)
            assert_close(loss, -logits.detach().log_softmax(1)[:, int(nearest)])

    def test_probabilities_at_zero_and_one_have_finite_gradients(self):
        p = torch.tensor([[0.0, 1.0, 0.3]], requires_grad=True)
        loss = QualityFocalLoss(activated=True)(p, (torch.tensor([0]), torch.tensor([0.6])))
        loss.backward()
        assert torch.isfinite(p.grad).all()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_is_computed_in_float32(self, dtype):
        logits, label, quality = random_case(dtype=dtype)
        logits.requires_grad_()
        exact = logits.detach().float().requires_grad_()
        loss = quality_focal_loss(logits, label, quality)
        reference = quality_focal_loss(exact, label, quality.float())
        loss.sum().backward()
        reference.sum().backward()
        assert loss.dtype == torch.float32
        assert_close(loss, reference)
        assert logits.grad.dtype == dtype
        assert_close(logits.grad, exact.grad.to(dtype))
        bins, t = torch.randn(8, 17, dtype=dtype), torch.rand(8, dtype=dtype) * 16
        assert_close(
            distribution_focal_loss(bins, t), distribution_focal_loss(bins.float(), t.float())
        )

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    @pytest.mark.parametrize(("logit", "avg_factor"), [(-7.0, 100.0), (-4.6, 1.0), (-16.0, 1.0)])
    @pytest.mark.parametrize("dense", [False, True])
    def test_a_loss_scale_neither_loses_nor_blows_up_a_gradient(
        self, dtype, logit, avg_factor, dense
    ):
        """A sure negative's slope is too small for half precision; scaled, it may not overflow."""
        scale = 2.0**16
        half = torch.full((50, 8), logit, dtype=dtype, requires_grad=True)
        full = half.detach().double().requires_grad_()
        for x in (half, full):
            label = torch.full((50,), 8)
            target = torch.zeros_like(x) if dense else (label, x.new_zeros(50))
            (QualityFocalLoss()(x, target, avg_factor=avg_factor) * scale).backward()
        assert_close(half.grad.double(), full.grad, rtol=1e-2, atol=2.0**-24)

    @pytest.mark.parametrize(
        ("call", "says"),
        [
            (lambda: QualityFocalLoss(use_sigmoid=False), "use_sigmoid must be True"),
            (lambda: QualityFocalLoss(beta=-1.0), "beta must be at least 0"),
            (
                lambda: QualityFocalLoss()(torch.zeros(2, 3), torch.zeros(2)),
                r"shape of pred \(2, 3\)",
            ),
            (
                lambda: DistributionFocalLoss(reduction="max")(torch.zeros(2, 3), torch.zeros(2)),
                "reduction",
            ),
        ],
    )
    def test_wrong_use_says_what_was_expected(self, call, says):
        with pytest.raises(ValueError, match=says):
            call()


class TestGradient:
    @pytest.mark.parametrize("beta", [1.0, 1.5, 2.0, 3.0])
    def test_closed_form_passes_gradcheck(self, beta):
        logits, label, quality = random_case(N=12, dtype=torch.float64)
        label[3] = IGNORED
        logits.requires_grad_()
        assert gradcheck(lambda x: quality_focal_loss(x, label, quality, beta=beta), logits)
        dense = torch.rand_like(logits)
        assert gradcheck(lambda x: dense_quality_focal_loss(x, dense, beta=beta), logits)

    def test_dfl_and_integral_pass_gradcheck(self):
        logits = torch.randn(6, 9, dtype=torch.float64, requires_grad=True)
        target = torch.tensor([-1.0, 0.0, 3.3, 7.9, 8.0, 12.0], dtype=torch.float64)
        assert gradcheck(lambda x: distribution_focal_loss(x, target), logits)
        assert gradcheck(integral, logits)

    def test_targets_are_constants(self):
        logits, label, quality = random_case()
        quality.requires_grad_()
        loss = quality_focal_loss(logits.requires_grad_(), label, quality).sum()
        assert torch.autograd.grad(loss, quality, allow_unused=True) == (None,)

    def test_backward_may_run_twice(self):
        logits, label, quality = random_case()
        loss = quality_focal_loss(logits.requires_grad_(), label, quality).sum()
        (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
        (second,) = torch.autograd.grad(loss, logits)
        assert torch.equal(first, second)


class TestParity:
    """The same numbers as mmdet, for every way of calling."""

    @pytest.mark.parametrize("beta", [1.0, 1.5, 2.0, 3.0])
    @pytest.mark.parametrize("positives", [True, False])
    @pytest.mark.parametrize(("N", "K"), [(1, 1), (64, 7), (300, 80)])
    def test_qfl(self, beta, positives, N, K):
        logits, label, quality = random_case(N, K)
        if not positives:
            label[:], quality[:] = K, 0
        label[::5] = IGNORED  # as mmdet's heads pass them: with weight 0
        weight = (label != IGNORED) * torch.rand(N)
        results = []
        for loss in (QualityFocalLoss(beta=beta), host.QualityFocalLoss(beta=beta)):
            pred = logits.clone().requires_grad_()
            value = loss(pred, (label, quality), weight=weight, avg_factor=3.0)
            value.backward()
            results.append((value.detach(), pred.grad))
        assert_close(*results, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("activated", [False, True])
    @pytest.mark.parametrize("dense", [False, True])
    def test_qfl_activated_and_dense(self, activated, dense):
        logits, label, quality = random_case()
        target = torch.rand_like(logits) if dense else (label, quality)
        pred = logits.sigmoid() if activated else logits
        ours = QualityFocalLoss(activated=activated)(pred, target, avg_factor=3.0)
        theirs = host.QualityFocalLoss(activated=activated)(pred, target, avg_factor=3.0)
        assert_close(ours, theirs, rtol=1e-5 if activated else 1e-6, atol=0)

    @pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
    def test_reductions(self, reduction):
        logits, label, quality = random_case()
        bins, t = torch.randn(9, 17), torch.rand(9) * 15.9
        ours, theirs = QualityFocalLoss(loss_weight=0.7), host.QualityFocalLoss(loss_weight=0.7)
        target = (label, quality)
        assert_close(
            ours(logits, target, reduction_override=reduction),
            theirs(logits, target, reduction_override=reduction),
        )
        assert_close(
            DistributionFocalLoss(reduction)(bins, t),
            host.DistributionFocalLoss(reduction)(bins, t),
        )

    def test_dfl(self):
        bins, t = torch.randn(200, 17), torch.rand(200) * 15.9
        results = []
        for loss in (
            DistributionFocalLoss(loss_weight=0.25),
            host.DistributionFocalLoss(loss_weight=0.25),
        ):
            pred = bins.clone().requires_grad_()
            value = loss(pred, t, weight=torch.ones(200), avg_factor=4.0)
            value.backward()
            results.append((value.detach(), pred.grad))
        assert_close(*results, rtol=1e-6, atol=1e-7)


class TestLean:
    def test_qfl_keeps_no_more_than_its_prediction(self):
        N, K = 44_800, 80
        label = torch.full((N,), K)
        label[:300] = 3
        weight = torch.ones(N)

        def kept(loss):
            pred = torch.randn(N, K, requires_grad=True)
            return bytes_kept_for_backward(
                lambda: loss(pred, (label, 0.5 * (label < K)), weight, 300.0)
            )

        assert kept(QualityFocalLoss()) <= 1.1 * N * K * 4
        # the witness: if it falls, say so in README
        assert kept(host.QualityFocalLoss()) >= 5.0 * N * K * 4

    def test_dfl_keeps_less_than_the_host(self):
        t = torch.rand(16_000) * 15.9

        def kept(loss):
            pred = torch.randn(16_000, 17, requires_grad=True)
            return bytes_kept_for_backward(lambda: loss(pred, t, avg_factor=4.0))

        assert kept(DistributionFocalLoss()) < kept(host.DistributionFocalLoss())
