"""SelfTrainingWrapper: the joint loss of a model of few weights, its state, ranks and hooks."""

import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel, ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from mmengine.runner.checkpoint import get_state_dict, load_state_dict
from mmengine.structures import BaseDataElement
from torch import nn

from mmext.measure import bytes_kept_for_backward
from mmext.registry import MODELS
from mmext.self_training.pseudo_labels.wrapper import SelfTrainingWrapper


class Linear(BaseModel):
    """Squared distance of a linear answer to 1, as two losses, one of them a list."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(3, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode="tensor"):
        out = self.head(inputs)
        if mode == "predict":
            return list(out)
        if mode == "tensor":
            return out
        self.calls += 1
        wrong = (out - 1) ** 2
        return dict(loss_a=wrong[:, 0], loss_b=[wrong[:, 1:], wrong * 2], acc=wrong.mean())


def wrapped(**kwargs):
    return SelfTrainingWrapper(Linear(), **kwargs)


def batch(*sources, seed=1):
    g = torch.Generator().manual_seed(seed)
    samples = [BaseDataElement(metainfo={"source": one}) for one in sources]
    return torch.randn(len(sources), 3, generator=g), samples


def own_loss(model, inputs):
    """What mmengine makes of the inner model's losses."""
    return model.parse_losses(model(inputs, None, mode="loss"))[0]


def joint(model, inputs, samples):
    return model.parse_losses(model(inputs, samples, mode="loss"))


def test_it_is_built_from_configs_and_logs_both_branches():
    MODELS.register_module(name="SelfTrainingTestLinear", module=Linear, force=True)
    try:
        model = MODELS.build(
            dict(type="mmext.SelfTrainingWrapper", model=dict(type="mmext.SelfTrainingTestLinear"))
        )
    finally:
        del MODELS.module_dict["SelfTrainingTestLinear"]
    inputs, samples = batch("human", "pseudo", "human")
    total, logged = joint(model, inputs, samples)
    names = {f"{s}.{n}" for s in ("human", "pseudo") for n in ("a", "b", "acc")}
    assert set(logged) == names | {"ratio", "loss", "loss_joint"}
    assert total == logged["loss_joint"]
    assert not any(logged[name].requires_grad for name in names)
    human, pseudo = own_loss(model.model, inputs[::2]), own_loss(model.model, inputs[1:2])
    torch.testing.assert_close(total, human)  # the first step: both are their own mean
    torch.testing.assert_close(logged["ratio"], human / pseudo)
    model.log_branches = False
    assert set(joint(model, inputs, samples)[1]) == {"loss", "loss_joint"}


def test_gradients_are_the_branches_with_the_factor_taken_as_a_number():
    model = wrapped(alpha=3.0)
    inputs, samples = batch("human", "human", "pseudo", "pseudo")
    weight = model.model.head.weight
    human, pseudo = own_loss(model.model, inputs[:2]), own_loss(model.model, inputs[2:])
    (of_human,), (of_pseudo,) = (torch.autograd.grad(one, weight) for one in (human, pseudo))
    joint(model, inputs, samples)[0].backward()
    expected = (of_human + 3 * (human / pseudo).detach() * of_pseudo) / 4
    torch.testing.assert_close(weight.grad, expected)


def test_it_keeps_for_backward_what_its_two_passes_keep_and_a_few_numbers():
    model = wrapped()
    inputs = torch.randn(2000, 3)
    samples = batch(*["human"] * 1000, *["pseudo"] * 1000)[1]

    def passes():
        return own_loss(model.model, inputs[:1000]) + own_loss(model.model, inputs[1000:])

    alone = bytes_kept_for_backward(passes)
    kept = bytes_kept_for_backward(lambda: joint(model, inputs, samples)[0])
    assert alone >= 40_000
    assert kept - alone < 100


def test_without_the_norm_it_is_the_plain_sum():
    model = wrapped(alpha=3.0, loss_norm=False)
    inputs, samples = batch("human", "pseudo", "pseudo")
    expected = own_loss(model.model, inputs[:1]) + 3 * own_loss(model.model, inputs[1:])
    total, logged = joint(model, inputs, samples)
    torch.testing.assert_close(total, expected)
    assert logged["ratio"] == 1
    assert not [key for key in model.state_dict() if key.startswith("self_training")]


def test_absent_branches():
    model = wrapped(alpha=3.0)
    inputs, samples = batch("human", "human")
    torch.testing.assert_close(joint(model, inputs, samples)[0], own_loss(model.model, inputs))
    before = model.self_training.sums.clone()
    inputs, samples = batch("pseudo", "pseudo", seed=2)
    total = joint(model, inputs, samples)[0]
    assert model.self_training.sums[0] == before[0] > 0
    ratio = model.self_training.ratio()
    assert ratio != 1
    torch.testing.assert_close(total, ratio * own_loss(model.model, inputs))


def test_the_pseudo_branch_may_start_later(monkeypatch):
    iteration = [0]
    monkeypatch.setattr(MessageHub, "get_current_instance", lambda: Hub(iteration[0]))
    model = wrapped(pseudo_from=10)
    inputs, samples = batch("human", "pseudo")
    human = own_loss(model.model, inputs[:1])
    for iteration[0], both in ((9, False), (10, True)):
        calls = model.model.calls.clone()
        total, logged = joint(model, inputs, samples)
        assert ("pseudo.a" in logged) == both
        assert model.model.calls - calls == 1 + both
        torch.testing.assert_close(total, human)


class Hub:
    def __init__(self, iteration):
        self.iteration = iteration

    def get_info(self, name, default):
        assert name == "iter"
        return self.iteration


def trained(model, steps, start=0):
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    for step in range(start, start + steps):
        inputs, samples = batch("human", *["pseudo"] * (step % 3), seed=step)
        model.train_step(dict(inputs=inputs, data_samples=samples), optimizer)
    return model


@pytest.mark.parametrize("save", [get_state_dict, nn.Module.state_dict])
@pytest.mark.parametrize("load", [load_state_dict, nn.Module.load_state_dict])
def test_a_resumed_training_goes_on_as_if_it_had_not_stopped(save, load):
    whole = trained(wrapped(), 8).state_dict()
    model = wrapped()
    load(model, save(trained(wrapped(), 5)), strict=True)
    resumed = trained(model, 3, start=5).state_dict()
    assert list(whole) == list(resumed)
    for key in whole:
        assert torch.equal(whole[key], resumed[key]), key


@pytest.mark.parametrize("save", [get_state_dict, nn.Module.state_dict])
def test_its_checkpoint_is_the_inner_models_with_the_means_beside(save):
    model = trained(wrapped(), 2)
    state = save(model)
    inner = model.model.state_dict()
    own = {"self_training.sums", "self_training.weights"}
    assert set(state) == set(inner) | own
    plain = Linear()
    missing, unexpected = plain.load_state_dict(state, strict=False)
    assert (missing, set(unexpected)) == ([], own)
    assert all(torch.equal(inner[key], plain.state_dict()[key]) for key in inner)
    assert state._metadata["head"] == state._metadata["model.head"]


def test_it_starts_from_a_checkpoint_of_the_inner_model():
    teacher = Linear()
    teacher.head.weight.data.fill_(7)
    model = wrapped()
    missing, unexpected = model.load_state_dict(teacher.state_dict(), strict=False)
    assert (set(missing), unexpected) == ({"self_training.sums", "self_training.weights"}, [])
    assert model.model.head.weight.unique().tolist() == [7]


def test_a_copy_and_an_average_of_it_keep_its_keys():
    model = trained(wrapped(), 2)
    keys = list(model.state_dict())
    assert list(copy.deepcopy(model).state_dict()) == keys
    average = ExponentialMovingAverage(model, momentum=0.5)
    average.update_parameters(model)
    saved = [key for key in average.state_dict() if key != "steps"]
    assert saved == [f"module.{key}" for key in keys]
    average.load_state_dict(average.state_dict())


def test_it_answers_as_the_inner_model():
    model = wrapped()
    inputs, _ = batch("human", "human")
    assert torch.equal(model(inputs), model.model(inputs))
    assert torch.equal(model.test_step(dict(inputs=inputs))[1], model.model(inputs)[1])
    assert torch.equal(model.val_step(dict(inputs=inputs))[0], model.model(inputs)[0])
    assert model.head is model.model.head
    assert model.data_preprocessor is model.model.data_preprocessor
    assert "data_preprocessor" not in dict(model.named_children())
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = model.nothing_of_that_name


def two_steps_of_rank(rank):
    model = wrapped(alpha=3.0)
    sources = [("human", "pseudo"), ("human", "pseudo"), ("human",), ("pseudo", "human")]
    found = []
    for step, (first, second) in enumerate(((0, 1), (2, 3))):
        mine = sources[(first, second)[rank]]
        inputs, samples = batch(*mine, seed=10 * step + rank)
        total = joint(model, inputs, samples)[0]
        (grad,) = torch.autograd.grad(total, model.model.head.weight)
        found.append([total.detach(), grad])
    return dict(found=found, state=dict(model.state_dict()))


def test_two_ranks_have_the_means_of_all_pictures(two_ranks):
    first, second = two_ranks(two_steps_of_rank)
    for key in ("self_training.sums", "self_training.weights"):
        assert torch.equal(first["state"][key], second["state"][key])
    # One process on the joined batch: as many pictures of each source in each rank.
    model = wrapped(alpha=3.0)
    parts = [batch("human", "pseudo", seed=rank) for rank in (0, 1)]
    inputs = torch.cat([one for one, _ in parts])
    total = joint(model, inputs, parts[0][1] + parts[1][1])[0]
    (grad,) = torch.autograd.grad(total, model.model.head.weight)
    ranks = [sum(pair) / 2 for pair in zip(first["found"][0], second["found"][0], strict=True)]
    torch.testing.assert_close(ranks[0], total)
    torch.testing.assert_close(ranks[1], grad)
    # In the second step the first rank has no pseudo-labelled picture, and both still agree.
    sums = first["state"]["self_training.sums"] / first["state"]["self_training.weights"]
    assert torch.isfinite(sums).all()


def test_what_cannot_work_is_refused():
    class OwnStep(Linear):
        def train_step(self, data, optim_wrapper):
            raise NotImplementedError

    with pytest.raises(ValueError, match="alpha must be 0 or more, got -1"):
        wrapped(alpha=-1.0)
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\), got 1"):
        wrapped(decay=1.0)
    with pytest.raises(TypeError, match="got OwnStep with a train_step of its own"):
        SelfTrainingWrapper(OwnStep())
    with pytest.raises(ValueError, match="expected data_samples, got None"):
        wrapped()(torch.zeros(2, 3), mode="loss")

    class NoLoss(Linear):
        def forward(self, inputs, data_samples=None, mode="tensor"):
            return dict(acc=self.head(inputs).mean())

    with pytest.raises(ValueError, match="expected losses of the inner model, got entries acc"):
        SelfTrainingWrapper(NoLoss())(*batch("human"), mode="loss")
