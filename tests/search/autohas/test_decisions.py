"""What is decided: spaces that are read, and those that are refused; the mix of the paper."""

import numpy as np
import pytest

from mmext.errors import BadInputError
from mmext.search.autohas.decisions import Decision, decisions_of

KEY = "optim_wrapper.optimizer.lr"


@pytest.mark.parametrize(
    ("entry", "choices", "mix"),
    [
        (dict(basis=[0.1, 1.0]), (0.1, 1.0), "log"),
        (dict(basis=[0.0, 1.0]), (0.0, 1.0), "linear"),
        (dict(basis=[0.1, 1.0], mix="linear"), (0.1, 1.0), "linear"),
        (dict(choices=[(0.9, 0.99), (0.8, 0.9)]), ((0.9, 0.99), (0.8, 0.9)), None),
        (dict(type="categorical", choices=[1, 2]), (1, 2), None),
        (dict(type="float", low=0.0, high=1.0, bins=3), (0.0, 0.5, 1.0), "linear"),
        (dict(type="int", low=1, high=3), (1, 2, 3), "log"),
    ],
)
def test_entries_of_a_space(entry, choices, mix):
    (found,) = decisions_of({KEY: entry})
    assert (found.choices, found.mix) == (choices, mix)


def test_a_range_in_logarithms():
    (found,) = decisions_of({KEY: dict(type="float", low=1e-4, high=10.0, log=True)})
    np.testing.assert_allclose(found.choices, [1e-4, 1e-3, 1e-2, 1e-1, 1, 10])


def test_the_mix_of_one_entry_is_the_entry_and_of_two_their_geometric_mean():
    decision = Decision(KEY, (1e-4, 0.3, 10.0), "log")
    for i, value in enumerate(decision.choices):
        assert decision.mixed(np.eye(3)[i]) == value
    assert decision.mixed(np.array([0.5, 0.0, 0.5])) == pytest.approx(np.sqrt(1e-3))
    linear = Decision(KEY, (0.0, 1.0), "linear")
    assert linear.mixed(np.array([0.25, 0.75])) == 0.75
    assert Decision(KEY, ("a", "b"), None).mixed(np.array([0.4, 0.6])) == "b"


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"train_cfg.max_epochs": dict(basis=[1, 2])}, "how long to train.*tools/search.py"),
        ({"train_dataloader.batch_size": dict(basis=[1, 2])}, "the size of a batch.*tools/sear"),
        ({"param_scheduler.0.gamma": dict(basis=[1, 2])}, "a schedule whose effect shows at the e"),
        ({"custom_hooks.0.momentum": dict(basis=[1, 2])}, "the decay of averaged weights"),
        ({KEY: dict(bases=[1, 2])}, "has 'bases', which is none of .*did you mean 'basis'"),
        ({KEY: dict(basis=[1.0])}, r"expected at least two values to choose from, got \[1.0\]"),
        ({KEY: dict(basis=[])}, r"expected at least two values to choose from, got \[\]"),
        ({KEY: dict(basis=[0.0, 1.0], mix="log")}, "expected values above 0 for mix='log', got 0"),
        ({KEY: dict(basis=[0.5, 1.0], mix="cube")}, "mix of .* expected one of .*, got 'cube'"),
        ({KEY: dict(type="float", low=1.0)}, "expected basis=.*with low and high, got"),
        ({KEY: dict(type="float", low=1.0, high=0.1)}, "expected low < high, got 1.0 and 0.1"),
        ({KEY: dict(type="float", low=0.0, high=1.0, log=True)}, "low < high and low > 0, got 0.0"),
    ],
)
def test_spaces_that_are_refused(space, says):
    with pytest.raises(BadInputError, match=says):
        decisions_of(space)
