"""REINFORCE: an oracle that differentiates by finite differences, properties, state."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmext.search.reinforce import (
    MovingBaseline,
    Policy,
    normalised_advantages,
    ramp,
    score_gradient,
    softmax,
    worst_for_missing,
)
from tests.fresh_process import run_from_nothing

THETA = np.array([0.3, -0.8, 1.1, 0.0])


def surrogate(theta: np.ndarray, drawn: list[int], advantages: np.ndarray) -> float:
    """What score_gradient is the gradient of: the mean of A_k log p(c_k), written as a loop."""
    total = 0.0
    for choice, advantage in zip(drawn, advantages, strict=True):
        p = np.exp(theta) / sum(np.exp(one) for one in theta)
        total += advantage * np.log(p[choice])
    return total / len(drawn)


def test_gradient_is_that_of_the_log_probabilities() -> None:
    drawn, advantages = [2, 0, 2, 1], np.array([0.7, -1.2, 0.1, 2.0])
    step = 1e-6
    slopes = [
        (
            surrogate(THETA + step * e, drawn, advantages)
            - surrogate(THETA - step * e, drawn, advantages)
        )
        / (2 * step)
        for e in np.eye(4)
    ]
    np.testing.assert_allclose(score_gradient(THETA, drawn, advantages), slopes, atol=1e-9)


def test_three_candidates_one_of_them_twice_by_hand() -> None:
    p = np.exp(THETA) / np.exp(THETA).sum()
    A = normalised_advantages([-1.0, -1.0, -0.4])
    # Choice 1 was drawn twice, choice 3 once: each draw pulls its own logit up and pays with p.
    by_hand = np.array(
        [
            -(A[0] + A[1] + A[2]) * p[0],
            A[0] + A[1] - (A[0] + A[1] + A[2]) * p[1],
            -(A[0] + A[1] + A[2]) * p[2],
            A[2] - (A[0] + A[1] + A[2]) * p[3],
        ]
    )
    np.testing.assert_allclose(score_gradient(THETA, [1, 1, 3], A), by_hand / 3, rtol=0, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.floats(-30, 30),
    st.floats(0.1, 10),
)
def test_gradient_sums_to_zero_and_ignores_a_shift(
    drawn: list[int], shift: float, scale: float
) -> None:
    A = scale * np.linspace(-1, 1, len(drawn))
    slope = score_gradient(THETA, drawn, A)
    assert abs(slope.sum()) < 1e-9
    np.testing.assert_allclose(score_gradient(THETA + shift, drawn, A), slope, atol=1e-9)


def test_softmax_of_large_logits_is_finite() -> None:
    np.testing.assert_allclose(softmax(np.array([1e4, 0.0])), [1, 0])


def test_advantages_of_equal_rewards_are_zero_and_otherwise_of_unit_scale() -> None:
    assert not normalised_advantages([-3.0] * 4).any()
    found = normalised_advantages([1.0, 2.0, 5.0, -4.0])
    np.testing.assert_allclose([found.mean(), found.std()], [0, 1], atol=1e-6)
    shifted = normalised_advantages([11.0, 21.0, 51.0, -39.0])  # 10 R + 1
    np.testing.assert_allclose(shifted, found, atol=1e-5)


def test_what_is_no_number_counts_as_the_worst() -> None:
    found = worst_for_missing([np.nan, 3.0, np.inf, -2.0, -np.inf])
    np.testing.assert_array_equal(found, [-2, 3, -2, -2, -2])
    np.testing.assert_array_equal(worst_for_missing([np.nan, np.inf]), [0, 0])


def test_ramp_waits_and_ends_at_its_factor() -> None:
    assert ramp(24, 100, delay=25) == 0
    np.testing.assert_allclose([ramp(25, 100, delay=25), ramp(100, 100, delay=25)], [1, 10])
    rates = [ramp(step, 100, delay=25) for step in range(25, 101)]
    np.testing.assert_allclose(np.diff(np.log(rates)), np.log(10) / 75)


def test_moving_baseline_against_the_weighted_mean_of_all_rewards() -> None:
    rewards = [3.0, -1.0, 4.0, 1.0, -5.0]
    baseline = MovingBaseline(momentum=0.9)
    for n, reward in enumerate(rewards):
        (found,) = baseline.advantages([reward])
        weights = [0.9 ** (n - i) for i in range(n + 1)]
        assert found == pytest.approx(reward - np.average(rewards[: n + 1], weights=weights))


def test_adam_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    policy = Policy({"a": 3})
    theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([theta], lr=0.1, maximize=True)
    rng = np.random.default_rng(0)
    for _ in range(20):
        draws, A = [policy.draw(rng) for _ in range(4)], rng.normal(size=4)
        log_p = theta.log_softmax(0)
        theta.grad = None
        (torch.as_tensor(A) * log_p[[one["a"] for one in draws]]).mean().backward()
        adam.step()
        policy.learn(draws, A, learning_rate=0.1)
        np.testing.assert_allclose(policy.logits["a"], theta.detach().numpy(), atol=1e-10)


def test_draws_follow_the_probabilities() -> None:
    policy = Policy({"a": 3})
    policy.logits["a"] = np.log([0.5, 0.3, 0.2])
    rng = np.random.default_rng(100)
    counts = np.bincount([policy.draw(rng)["a"] for _ in range(4000)], minlength=3)
    np.testing.assert_allclose(counts / 4000, [0.5, 0.3, 0.2], atol=4 * np.sqrt(0.25 / 4000))


def test_a_decision_that_a_draw_did_not_come_to_is_left_alone() -> None:
    policy = Policy({"a": 2, "b": 2})
    policy.learn([{"a": 0}, {"a": 1}], np.array([1.0, -1.0]), learning_rate=0.1)
    assert not policy.logits["b"].any()
    assert policy.mode() == {"a": 0, "b": 0}


def test_learning_finds_the_best_arm() -> None:
    pays = np.array([0.1, 0.9, 0.3, 0.2])
    policy, rng = Policy({"arm": 4}), np.random.default_rng(100)
    for _ in range(150):
        draws = [policy.draw(rng) for _ in range(4)]
        rewards = [pays[one["arm"]] + 0.1 * rng.normal() for one in draws]
        policy.learn(draws, normalised_advantages(rewards), learning_rate=0.1)
    assert policy.mode() == {"arm": 1}
    assert policy.probabilities("arm")[1] > 0.9


def test_a_policy_goes_on_from_its_state_as_json() -> None:
    def steps(policy: Policy, numbers: range) -> None:
        for n in numbers:
            rng = np.random.default_rng(n)
            policy.learn([policy.draw(rng) for _ in range(4)], rng.normal(size=4), 0.1)

    whole, first, second = (Policy({"a": 3, "b": 2}) for _ in range(3))
    steps(whole, range(10))
    steps(first, range(4))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    steps(second, range(4, 10))
    assert whole.state_dict() == second.state_dict()


def test_state_of_another_space_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected the state of decisions .*'a': 3.*'a': 2"):
        Policy({"a": 3}).load_state_dict(Policy({"a": 2}).state_dict())


def test_a_decision_without_choices_is_refused() -> None:
    with pytest.raises(ValueError, match="lr: expected at least one choice, got 0"):
        Policy({"lr": 0})


def test_it_needs_neither_torch_nor_optuna(tmp_path: Path) -> None:
    printed = run_from_nothing(
        """
        import sys
        import mmext.search.reinforce
        print({"torch", "optuna"} & set(sys.modules))
        """,
        cwd=tmp_path,
    )
    assert printed.strip() == "set()"
