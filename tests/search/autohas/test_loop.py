"""AutoHASLoop: what it finds, what it leaves alone, and that it goes on as if never stopped."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmext.errors import BadInputError
from mmext.search.autohas import search_loop
from mmext.search.autohas.choice import Choice
from mmext.search.autohas.trial import train
from mmext.search.reinforce import Policy, normalised_advantages
from tests.search.autohas.small_run import BEST, LR, RATES, Net, digits, full_training, loop_of


def likeliest(loop) -> int:
    loop.run()
    return loop.controller.policy.mode()[LR]


def momentum(model):
    return OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9))


def adam(model):
    return OptimWrapper(torch.optim.AdamW(model.parameters(), lr=0.01))


def with_norm():
    torch.manual_seed(100)
    return Net(nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10)))


def state_of(loop) -> dict:
    """Weights, buffers, and the optimiser's state and settings, as copies."""
    optimiser = loop.runner.optim_wrapper.optimizer
    state = [dict(one) for one in optimiser.state.values()]
    everything = dict(
        model=loop.model.state_dict(), state=state, groups=optimiser.state_dict()["param_groups"]
    )
    return torch.utils._pytree.tree_map(
        lambda x: x.clone() if isinstance(x, torch.Tensor) else x, everything
    )


def same(first, second) -> bool:
    (a, structure), (b, other) = (torch.utils._pytree.tree_flatten(x) for x in (first, second))
    return structure == other and all(
        torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y
        for x, y in zip(a, b, strict=True)
    )


# AH-1 and AH-2 -------------------------------------------------------------------------------


def test_one_update_finds_a_rate_within_a_decade_of_the_best_for_every_seed(tmp_path):
    found = [
        likeliest(loop_of(tmp_path, seed=seed, steps=150, updates=1, controller=dict(delay=0.0)))
        for seed in range(100, 108)
    ]
    assert all(abs(one - BEST) <= 1 for one in found), found
    assert min(full_training(RATES[one]) for one in set(found)) >= 0.85


@pytest.mark.slow
def test_five_updates_and_the_sampled_candidate_find_a_rate_and_keep_what_was_learnt(tmp_path):
    """The best rate itself, 1, is named by searches whose weights have died alone.

    On twelve other seeds half the cap as the only limit named it 5 times, and 10 searches ended
    with the loss of a net that knows nothing.
    """
    inputs, labels = (one[700:1000] for one in digits())
    for seed in range(100, 108):
        loop = loop_of(tmp_path, seed=seed, steps=400)
        assert abs(likeliest(loop) - BEST) <= 1, seed
        with torch.no_grad():
            assert loop.model(inputs, labels)["loss"] < 0.5, seed


@pytest.mark.slow
def test_documentation_committing_the_most_probable_one_is_worse(tmp_path):
    found = [
        likeliest(loop_of(tmp_path, seed=seed, steps=400, commit="mode"))
        for seed in range(100, 108)
    ]
    assert found.count(BEST) <= 1, found


# AH-3 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("updates", [1, 2])
@pytest.mark.parametrize("optimiser", [momentum, adam])
def test_weights_buffers_and_momentum_are_those_of_plain_training_with_what_was_committed(
    tmp_path, updates, optimiser
):
    """Bit by bit, so trying the other candidates left nothing behind."""
    loop = loop_of(
        tmp_path, steps=3, updates=updates, model=with_norm(), optimiser=optimiser, cap=1e9
    )
    loop._prepare()
    batches = []
    stock = loop.batches
    loop.batches = lambda: batches.append(stock()) or batches[-1]
    plain = loop_of(tmp_path, steps=3, model=with_norm(), optimiser=optimiser)
    plain.model.load_state_dict(loop.model.state_dict())
    plain.model.train()
    for step in range(3):
        draw = loop.controller.draw(step, 4)[0]
        loop.run_iter()
        wrapper = plain.runner.optim_wrapper
        for group in wrapper.optimizer.param_groups:
            group["lr"] = RATES[draw[LR]]
        train(plain.model, wrapper, batches[step][1])
        for group in wrapper.optimizer.param_groups:
            group["lr"] = 0.01
        assert same(state_of(loop), state_of(plain)), step


def test_a_step_whose_candidates_all_diverge_changes_nothing(tmp_path):
    loop = loop_of(tmp_path, updates=2, model=with_norm(), optimiser=momentum, cap=1e-6)
    loop._prepare()
    before = state_of(loop)
    loop.run_iter()
    assert same(before, state_of(loop))
    assert loop.runner.outputs[0]["committed"] == 0


def test_a_candidate_that_becomes_nan_gets_the_cap_and_is_never_committed(tmp_path):
    space = {LR: dict(basis=[0.1, 1e30])}
    loop = loop_of(tmp_path, steps=12, updates=2, space=space, controller=dict(delay=0.0))
    loop._prepare()
    seen = []
    stock = loop.controller.learn

    def learn(step, draws, rewards):
        seen.extend(zip([one[LR] for one in draws], rewards, strict=True))
        stock(step, draws, rewards)

    loop.controller.learn = learn
    for _ in range(12):
        loop.run_iter()
        assert all(torch.isfinite(p).all() for p in loop.model.parameters())
    diverged = [reward for choice, reward in seen if choice == 1]
    assert diverged
    assert set(diverged) == {-loop.cap}
    assert loop.controller.policy.mode()[LR] == 0


@pytest.mark.parametrize("seed", [101, 105])
def test_a_rate_that_kills_every_unit_does_not_take_what_was_learnt(tmp_path, seed):
    """With half the cap as the only limit both are at 2.3, the loss of a net that knows nothing."""
    loop = loop_of(tmp_path, seed=seed, steps=60)
    loop.run()
    inputs, labels = digits()
    with torch.no_grad():
        loss = loop.model(inputs[700:1000], labels[700:1000])["loss"]
    assert loss < 0.5
    assert sum(one["committed"] for one in loop.runner.outputs) >= 40


@pytest.mark.parametrize(
    ("loss", "losses", "may"),
    [
        (1.4, [0.4, 1.4, 9.9], True),  # half of what 0.4 has gained over 2.4
        (1.5, [0.4, 1.5, 9.9], False),
        (2.3, [2.3, 0.4], False),  # a net that knows nothing
        (2.3, [2.3, math.nan, 2.29], True),  # none has gained anything
        (3.0, [3.0, 3.5], True),  # a hard batch: the best of the step
        (3.4, [3.0, 3.4], False),
        (3.0, [3.0], True),
        (4.9, [4.9], False),  # above half the cap
        (math.nan, [math.nan, 0.4], False),
        (math.inf, [math.inf], False),
        (-math.inf, [-math.inf], False),
    ],
)
def test_weights_become_the_shared_ones_if_they_keep_half_of_the_best_ones_gain(
    tmp_path, loss, losses, may
):
    loop = loop_of(tmp_path, cap=9.6)
    loop._prepare()
    assert loop.may_become_shared(loss, losses) == may


def test_the_first_weights_are_a_cap_of_four_losses(tmp_path):
    loop = loop_of(tmp_path)
    loop._prepare()
    assert loop.cap == pytest.approx(4 * math.log(10), rel=0.05)


# AH-4 ----------------------------------------------------------------------------------------


def test_theta_moves_as_the_rewards_of_its_draws_say(tmp_path):
    """Candidates of equal values are tried once and count as often as they were drawn."""
    loop = loop_of(tmp_path, updates=2, candidates=6, controller=dict(delay=0.0))
    loop._prepare()
    draws = loop.controller.draw(0, 6)
    indices = [one[LR] for one in draws]
    assert len(set(indices)) < 6, "no candidate was drawn twice; take another seed"
    tried = []
    stock = loop._train
    loop._train = lambda draw, batches: tried.append(draw[LR]) or stock(draw, batches)
    loop.run_iter()
    assert sorted(tried) == sorted(set(indices))
    assert tried[-1] == indices[0]

    fresh = loop_of(tmp_path, updates=2)
    fresh._prepare()
    _, batches, _, validation = fresh.batches()
    rewards = {}
    for choice in set(indices):
        fresh.snapshot.take()
        fresh._train({LR: choice}, batches)
        fresh.model.eval()
        with torch.no_grad():
            loss = fresh.model(**validation)["loss"].item()
        fresh.model.train()
        fresh.snapshot.restore()
        rewards[choice] = -min(loss, loop.cap)
    by_hand = Policy({LR: 6})
    by_hand.learn(draws, normalised_advantages([rewards[one] for one in indices]), 0.1)
    np.testing.assert_allclose(loop.controller.policy.logits[LR], by_hand.logits[LR], atol=1e-10)


def test_the_shared_gradient_gives_what_one_pass_a_candidate_gives(tmp_path):
    losses = []
    for shares in (True, False):
        loop = loop_of(tmp_path, steps=5, updates=1, model=with_norm(), optimiser=momentum)
        loop._prepare()
        assert loop._shares_gradient
        loop._shares_gradient = shares
        for _ in range(5):
            loop.run_iter()
        losses.append([(one["val_loss"], one["reward"]) for one in loop.runner.outputs])
    assert losses[0] == losses[1]


def test_an_optimiser_that_writes_into_gradients_is_noticed(tmp_path):
    class Greedy(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad.zero_()

    runs = []
    for shares in (True, False):
        loop = loop_of(
            tmp_path,
            updates=1,
            optimiser=lambda model: OptimWrapper(Greedy(model.parameters(), lr=0.01)),
        )
        loop._prepare()
        loop._shares_gradient = shares
        for _ in range(3):
            loop.run_iter()
        assert not loop._shares_gradient
        runs.append([one["reward"] for one in loop.runner.outputs])
    assert runs[0] == runs[1]


# AH-5 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("updates", [1, 2])
def test_a_run_resumed_in_the_middle_gives_the_same_theta(tmp_path, updates):
    def made():
        model = with_norm()
        model.noise = 0.3
        return loop_of(tmp_path, steps=8, updates=updates, model=model, optimiser=momentum)

    whole, first, second = made(), made(), made()
    whole.run()
    first._max_iters = 8
    first._prepare()
    for _ in range(3):
        first.run_iter()
    checkpoint = dict(
        model=first.model.state_dict(), optimizer=first.runner.optim_wrapper.state_dict()
    )
    first.runner.hooks[0].before_save_checkpoint(first.runner, checkpoint)
    torch.save(checkpoint, tmp_path / "checkpoint.pth")
    loaded = torch.load(tmp_path / "checkpoint.pth", weights_only=True)
    second.model.load_state_dict(loaded["model"])
    second.runner.optim_wrapper.load_state_dict(loaded["optimizer"])
    second.runner.hooks[0].after_load_checkpoint(second.runner, loaded)
    second._iter = 3
    second.run()
    assert json.dumps(second.controller.state_dict()) == json.dumps(whole.controller.state_dict())
    assert same(second.model.state_dict(), whole.model.state_dict())


def test_resuming_with_another_space_is_refused(tmp_path):
    first = loop_of(tmp_path)
    first.run()
    checkpoint: dict = {}
    first.runner.hooks[0].before_save_checkpoint(first.runner, checkpoint)
    second = loop_of(tmp_path, space={LR: dict(basis=[0.1, 1.0])})
    second.runner.hooks[0].after_load_checkpoint(second.runner, checkpoint)
    second._iter = 2
    with pytest.raises(BadInputError, match="expected that of the run which is resumed"):
        second.run()


# The rest ------------------------------------------------------------------------------------


def test_bytes_of_a_search_are_one_copy_of_parameters_and_state(tmp_path):
    loop = loop_of(tmp_path, model=with_norm(), optimiser=adam, cap=1e9)
    loop._prepare()
    for _ in range(2):
        loop.run_iter()
    held = [*loop.model.parameters(), *loop.model.buffers()]
    for state in loop.runner.optim_wrapper.optimizer.state.values():
        held += [one for one in state.values() if isinstance(one, torch.Tensor)]
    assert loop.snapshot.nbytes() == sum(one.nbytes for one in held)
    pointers = {one.data_ptr() for one in loop.snapshot._parameters}
    loop.run_iter()
    assert {one.data_ptr() for one in loop.snapshot._parameters} == pointers


def test_choices_of_modules_are_searched_and_the_losers_keep_their_weights(tmp_path):
    def layers():
        torch.manual_seed(100)
        wide, bad = nn.Linear(64, 10), nn.Sequential(nn.Linear(64, 10), nn.Hardtanh(-1e-3, 1e-3))
        place = Choice.__new__(Choice)
        nn.Module.__init__(place)
        place.choices, place.active = nn.ModuleList([bad, wide]), 0
        return Net(place)

    loop = loop_of(
        tmp_path,
        steps=60,
        space={},
        model=layers(),
        updates=2,
        controller=dict(delay=0.0),
        optimiser=lambda model: OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5)),
    )
    loop.run()
    assert loop.controller.values(loop.controller.policy.mode()) == {"model.layers": 1}
    assert loop.controller.policy.probabilities("model.layers")[1] > 0.9


def test_the_weight_of_a_loss_counts_in_training_and_not_in_validation(tmp_path):
    space = {"model.loss_weight": dict(basis=[1e-3, 1.0])}
    loop = loop_of(
        tmp_path,
        steps=40,
        space=space,
        controller=dict(delay=0.0),
        optimiser=lambda model: OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5)),
    )
    loop.run()
    # A small weight would have the smallest loss, were it weighted.
    assert loop.controller.policy.mode() == {"model.loss_weight": 1}
    assert loop.model.loss_weight == 1.0


def test_one_candidate_alone_learns_from_a_moving_baseline(tmp_path):
    loop = loop_of(tmp_path, steps=400, candidates=1, updates=1, controller=dict(delay=0.0))
    assert likeliest(loop) in (BEST - 1, BEST)


def test_best_commits_the_candidate_of_the_highest_reward(tmp_path):
    loop = loop_of(tmp_path, updates=2, commit="best")
    loop._prepare()
    for _ in range(4):
        loop.run_iter()
        seen = loop.runner.outputs[-1]
        _, _, _, validation = loop.batches()  # other batches; only finiteness is looked at
        assert seen["val_loss"] <= -seen["reward"] + 1e-6
        assert math.isfinite(loop.model(**validation)["loss"].item())


def test_a_schedule_and_ratios_of_groups_go_on_to_count(tmp_path):
    def groups(model):
        first, last = model.layers[0], model.layers[2]
        sgd = torch.optim.SGD(
            [dict(params=first.parameters(), lr=0.001), dict(params=last.parameters())], lr=0.01
        )
        for group in sgd.param_groups:  # a scheduler that stands at a half
            group["initial_lr"] = group["lr"]
            group["lr"] *= 0.5
        return OptimWrapper(sgd)

    loop = loop_of(tmp_path, optimiser=groups)
    loop._prepare()
    sgd = loop.runner.optim_wrapper.optimizer
    loop.knobs[LR].set(1.0)
    assert [group["lr"] for group in sgd.param_groups] == pytest.approx([0.05, 0.5])
    loop.knobs[LR].reset()
    assert [group["lr"] for group in sgd.param_groups] == [0.0005, 0.005]


def test_finalists_start_from_the_first_weights_and_the_best_is_named(tmp_path):
    loop = loop_of(tmp_path, steps=30, finalists=3, space={LR: dict(basis=[1e-4, 0.5, 1e-3])})
    first = {k: v.clone() for k, v in loop.model.state_dict().items()}
    loop.run()
    kept = torch.load(tmp_path / "autohas_first_weights.pth", weights_only=True)
    assert same(dict(kept), first)
    found = json.loads((Path(tmp_path) / "autohas.json").read_text())
    losses = {row["values"][LR]: row["val_loss"] for row in found["finalists"]}
    assert min(losses, key=losses.get) == 0.5 == found["values"][LR]
    assert len(losses) == 3


def test_stop_when_flat(tmp_path):
    loop = loop_of(tmp_path, steps=40, controller=dict(stop_when_flat=3))
    loop._prepare()
    watch = loop.controller.watch
    for _ in range(9):
        watch(3, 7.0)  # nothing is learnt from the first four steps, so nothing can be flat
    for loss in (5.0, 4.0, 3.0, 2.0, 1.0, 0.5):
        watch(4, loss)
    assert not loop.controller.stopped
    for loss in (0.5, 0.6, 0.5, 0.6, 0.5):
        watch(5, loss)
    assert loop.controller.stopped
    before = loop.controller.policy.logits[LR].copy()
    loop.run_iter()
    np.testing.assert_array_equal(loop.controller.policy.logits[LR], before)


@pytest.mark.parametrize(
    ("rates", "options", "told"),
    [
        ([0.05, 0.1], {}, False),
        ([1e-9, 1e-8], {}, True),
        ([1e-9, 1e-8], dict(cap=9.0), False),  # the first loss is not known
    ],
)
def test_weights_that_have_learnt_nothing_are_told(tmp_path, monkeypatch, rates, options, told):
    said = []
    monkeypatch.setattr(search_loop, "print_log", lambda text, **_: said.append(text))
    loop_of(tmp_path, steps=20, space={LR: dict(basis=rates)}, **options).run()
    assert len(said) == told
    if told:
        assert "before the first step, so they have learnt nothing" in said[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(candidates=0), "candidates expected 1 or more, got 0"),
        (dict(updates=0), "updates expected 1 or more, got 0"),
        (dict(commit="last"), "commit expected one of .*'mode'.*got 'last'"),
        (dict(cap=-1.0), "cap expected a number above 0, got -1.0"),
        (dict(controller=dict(learning_rate=0.0)), "learning_rate expected a number above 0"),
        (dict(controller=dict(delay=1.0)), "delay expected a share of the steps"),
        (dict(space={}), "expected something to search, got no key and a model without mmext.Cho"),
        (dict(space={"model.deaf": dict(basis=[0.1, 0.2])}), "the loss of the first batch is the"),
        (
            dict(space={"optim_wrapper.optimizer.lrr": dict(basis=[0.1, 0.2])}),
            "expected a setting of SGD.*did you mean 'lr'.*correct the key",
        ),
        (
            dict(space={"optim_wrapper.clip_grad.max_norm": dict(basis=[0.1, 0.2])}),
            "expected clip_grad with max_norm in the config's optim_wrapper, got none",
        ),
        (
            dict(space={"model.layers.3.p": dict(basis=[0.1, 0.2])}),
            "the model has no 3 there; correct the key",
        ),
        (
            dict(space={"model.loss_weigth": dict(basis=[0.1, 0.2])}),
            "expected a number in Net.*did you mean 'loss_weight'",
        ),
        (
            dict(space={"optim_wraper.optimizer.lr": dict(basis=[0.1, 0.2])}),
            "expected keys that begin with .*did you mean 'optim_wrapper.optimizer.lr'",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(tmp_path, options, says):
    with pytest.raises(BadInputError, match=says):
        loop_of(tmp_path, **options).run()


def test_steps_that_are_not_mmengines_are_refused(tmp_path):
    class Teacher(Net):
        def train_step(self, data, optim_wrapper):
            return {}

    with pytest.raises(BadInputError, match="trains by mmengine's train_step, got Teacher"):
        loop_of(tmp_path, model=Teacher()).run()
    with pytest.raises(BadInputError, match="expected accumulative_counts=1"):
        loop_of(
            tmp_path,
            optimiser=lambda m: OptimWrapper(torch.optim.SGD(m.parameters(), lr=0.1), 2),
        ).run()
