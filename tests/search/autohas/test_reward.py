"""A metric as the reward, as the paper has it: what is compared, and what still is the loss."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator

from mmext.errors import BadInputError
from mmext.search.reinforce import Policy, normalised_advantages
from tests.search.autohas.small_run import LR, loop_of


class Share(BaseMetric):
    """Right answers of those that were seen, in percent."""

    def process(self, data_batch, data_samples):
        self.results += [float(one) for one in data_samples]

    def compute_metrics(self, results):
        return dict(top1=100 * float(np.mean(results)), count=len(results))


def with_metric(folder, reward="top1", **options):
    loop = loop_of(folder, updates=2, reward=reward, **options)
    loop.runner.val_loop = SimpleNamespace(evaluator=Evaluator([Share()]))
    loop._prepare()
    return loop


def by_hand(folder, choices):
    """Loss and accuracy of the first step's candidates, each from the first weights."""
    loop = loop_of(folder, updates=2)
    loop._prepare()
    _, batches, _, validation = loop.batches()
    found = {}
    for choice in choices:
        loop.snapshot.take()
        loop._train({LR: choice}, batches)
        loop.model.eval()
        with torch.no_grad():
            loss = loop.model(**validation)["loss"].item()
            right = torch.stack(loop.model(**validation, mode="predict"))
        loop.model.train()
        loop.snapshot.restore()
        found[choice] = loss, 100 * right.float().mean().item()
    return found


@pytest.mark.usefixtures("digits")
def test_theta_moves_as_the_metric_of_its_draws_says(tmp_path):
    loop = with_metric(tmp_path, candidates=6, controller=dict(delay=0.0))
    draws = loop.controller.draw(0, 6)
    indices = [one[LR] for one in draws]
    found = by_hand(tmp_path, set(indices))
    rewards = [found[one][1] for one in indices]
    assert len(set(rewards)) > 1
    loop.run_iter()
    policy = Policy({LR: 6})
    policy.learn(draws, normalised_advantages(rewards), 0.1)
    np.testing.assert_allclose(loop.controller.policy.logits[LR], policy.logits[LR], atol=1e-6)
    told = loop.runner.outputs[-1]
    assert told["reward"] == pytest.approx(np.mean(rewards))
    assert told["val_loss"] == pytest.approx(found[indices[0]][0])  # which decides what is kept
    assert loop.model.training


@pytest.mark.usefixtures("digits")
def test_best_commits_by_the_metric(tmp_path):
    loop = with_metric(tmp_path, candidates=6, commit="best")
    indices = {one[LR] for one in loop.controller.draw(0, 6)}
    found = by_hand(tmp_path, indices)
    best = max(accuracy for _, accuracy in found.values())
    loop.run_iter()
    losses = [loss for loss, accuracy in found.values() if accuracy == best]
    assert any(loop.runner.outputs[-1]["val_loss"] == pytest.approx(one) for one in losses)


@pytest.mark.usefixtures("digits")
def test_a_metric_that_nobody_reports_is_told(tmp_path):
    loop = with_metric(tmp_path, reward="top2")
    with pytest.raises(
        BadInputError, match=r"'loss' or a metric .* top1, count, got 'top2' .did you mean 'top1'"
    ):
        loop.run_iter()
