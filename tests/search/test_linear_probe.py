"""The linear probe: an oracle that leaves each sample out, properties, corners."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmext.search.linear_probe import PENALTIES, fit

N, C, K = 24, 5, 3


def drawn(*nets: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, K, (N,), generator=generator)
    features = torch.randn(*nets, N, C, generator=generator, dtype=dtype)
    return features + F.one_hot(labels, C) * 0.7, labels


def ridge(X: Tensor, Y: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights and bias that minimise the squared error, the bias at no cost."""
    A = torch.cat([X, torch.ones(len(X), 1, dtype=X.dtype)], 1)
    cost = torch.diag(torch.tensor([penalty] * X.shape[1] + [0.0], dtype=X.dtype))
    both = torch.linalg.solve(A.T @ A + cost, A.T @ Y)
    return both[:-1], both[-1]


def oracle(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, float]:
    """Every penalty by really leaving out each sample, one after the other."""
    Y = F.one_hot(labels, K).double()
    centred = features - features.mean(0)
    unit = float(torch.trace(centred.T @ centred)) / C
    errors = {}
    for share in PENALTIES:
        errors[share] = 0.0
        for i in range(N):
            rest = torch.arange(N) != i
            weight, bias = ridge(features[rest], Y[rest], share * unit)
            errors[share] += float((Y[i] - features[i] @ weight - bias).square().sum())
    best = min(errors, key=errors.__getitem__)
    return *ridge(features, Y, best * unit), best


def test_it_is_ridge_regression_with_the_penalty_of_the_least_error_of_samples_left_out() -> None:
    features, labels = drawn(4, seed=1)
    found = fit(features, labels, K)
    chosen = set()
    for net in range(4):
        weight, bias, penalty = oracle(features[net], labels)
        torch.testing.assert_close(found.weight[net], weight)
        torch.testing.assert_close(found.bias[net, 0], bias)
        assert found.penalty[net].item() == penalty
        chosen.add(penalty)
    assert len(chosen) > 1  # or a constant would have done as well


def test_nets_probed_together_are_nets_probed_one_by_one() -> None:
    features, labels = drawn(2, 3, seed=2)
    together = fit(features, labels, K)
    for i in range(2):
        for j in range(3):
            alone = fit(features[i, j], labels, K)
            torch.testing.assert_close(
                together.scores(features)[i, j], alone.scores(features[i, j])
            )


def test_scale_shift_and_rotation_of_the_features_change_no_score() -> None:
    features, labels = drawn()
    turn = torch.linalg.qr(torch.randn(C, C, dtype=torch.float64))[0]
    other = 300 * features @ turn - 17
    torch.testing.assert_close(
        fit(other, labels, K).scores(other), fit(features, labels, K).scores(features)
    )


def test_classes_that_a_line_separates_are_told_apart() -> None:
    x = torch.linspace(-1, 1, 40)[:, None]
    labels = (x[:, 0] > 0).long()
    assert torch.equal(fit(x, labels, 2).scores(x).argmax(-1), labels)


@pytest.mark.parametrize("features", [torch.zeros(N, C), torch.full((N, C), 3.0)])
def test_features_that_never_change_name_the_commonest_class(features: Tensor) -> None:
    labels = torch.tensor([1] * 14 + [0] * 6 + [2] * 4)
    scores = fit(features, labels, K).scores(features)
    torch.testing.assert_close(
        scores[0], torch.tensor([6, 14, 4], dtype=torch.float64) / N, check_dtype=False
    )


def test_more_features_than_samples_and_numbers_of_half_precision() -> None:
    features = torch.randn(6, 40, generator=torch.Generator().manual_seed(0)).half()
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    found = fit(features, labels, 2)
    assert found.weight.isfinite().all()
    assert torch.equal(found.scores(features).argmax(-1), labels)


def test_a_single_sample_is_its_class() -> None:
    found = fit(torch.ones(1, C), torch.tensor([2]), K).scores(torch.randn(4, C))
    assert found.isfinite().all()
    assert (found.argmax(-1) == 2).all()
