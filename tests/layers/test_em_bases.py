"""Bases of EM attention: equations, parity with mmseg's module, when they move and when not."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.ema_head import EMAModule as Upstream
from torch import distributed, nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from mmext.layers.em_attention import EMAUnit2d
from mmext.layers.em_bases import EMBases, expectation, find_bases, maximization
from tests.fresh_process import run

UPSTREAM = pytest.mark.xfail(
    strict=True, reason="upstream's defect; when this passes, say so in the README"
)


def image(size=(5, 7), channels=8, batch=2, seed=3, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, *size, generator=g, dtype=torch.float64).to(dtype)


def bases_of(cls=EMBases, channels=8, num_bases=4, seed=0, **cfg):
    torch.manual_seed(seed)
    if cls is Upstream:
        return cls(channels, num_bases, cfg.pop("num_stages", 3), cfg.pop("momentum", 0.1))
    return cls(channels, num_bases, **cfg)


def oracle(x, start, num_stages):
    """One image by loops: bases, reconstruction. Rows of x are places."""
    mu = [start[:, k] for k in range(start.shape[1])]
    for _ in range(num_stages):
        z = []
        for place in x:
            e = [torch.exp(place @ base) for base in mu]
            z.append([value / sum(e) for value in e])
        for k in range(len(mu)):
            mean = sum(z[n][k] * x[n] for n in range(len(x))) / sum(z[n][k] for n in range(len(x)))
            mu[k] = mean / mean.norm()
    rebuilt = torch.stack([sum(z[n][k] * mu[k] for k in range(len(mu))) for n in range(len(x))])
    return torch.stack(mu, 1), rebuilt


def reference_update(bases, x, num_stages, momentum):
    """The authors' moving average, by their equations: batch's mean as is, no length given back."""
    found = [oracle(one.flatten(1).T, bases[0], num_stages)[0] for one in x]
    return (1 - momentum) * bases + momentum * torch.stack(found).mean(0, keepdim=True)


class TestEquations:
    def test_it_equals_the_loop(self):
        unit, x = bases_of().double(), image(dtype=torch.float64)
        rebuilt = unit(x)
        for one, given in zip(x, rebuilt, strict=True):
            _, expected = oracle(one.flatten(1).T, unit.bases[0], 3)
            assert_close(given.flatten(1).T, expected, rtol=0, atol=1e-12)

    def test_places_share_themselves_out_and_bases_have_length_one(self):
        x, start = image().flatten(2).mT, bases_of().bases
        bases, z = find_bases(x, start, num_stages=4)
        assert_close(z.sum(-1), torch.ones(2, 35), rtol=0, atol=1e-6)
        assert_close(bases.norm(dim=1), torch.ones(2, 4), rtol=0, atol=1e-5)

    def test_places_and_images_may_change_places(self):
        unit, x = bases_of().eval(), image()
        places, images = torch.randperm(35), [1, 0]
        moved = unit(x.flatten(2)[..., places].reshape(x.shape))
        assert_close(moved, unit(x).flatten(2)[..., places].reshape(x.shape), rtol=0, atol=1e-5)
        assert_close(unit(x[images]), unit(x)[images], rtol=0, atol=1e-6)

    def test_a_low_temperature_gives_each_place_to_one_base(self):
        x, start = image().flatten(2).mT, bases_of().bases
        sharp = expectation(x, start.expand(2, -1, -1), 1e-3)
        assert_close(sharp, F.one_hot((x @ start).argmax(-1), 4).float(), rtol=0, atol=1e-3)

    def test_what_it_gives_carries_no_gradient(self):
        x = image().requires_grad_()
        assert not bases_of()(x).requires_grad

    def test_a_base_without_places_stays_finite(self):
        z = torch.zeros(1, 3, 2)
        z[..., 0] = 1
        assert torch.isfinite(maximization(torch.randn(1, 3, 4), z)).all()


class TestParity:
    @pytest.mark.parametrize("size", [(1, 1), (5, 7), (17, 23)])
    def test_outputs_are_mmseg_s(self, size):
        ours, theirs = bases_of(), bases_of(Upstream)
        theirs.load_state_dict(ours.state_dict(), strict=True)
        ours.load_state_dict(theirs.state_dict(), strict=True)
        ours.eval()
        theirs.eval()
        x = image(size)
        assert_close(ours(x), theirs(x), rtol=0, atol=1e-6)

    def test_bases_after_three_steps_are_mmseg_s(self):
        ours, theirs = bases_of(momentum=0.3), bases_of(Upstream, momentum=0.3)
        theirs.load_state_dict(ours.state_dict())
        for step in range(3):
            assert_close(ours(image(seed=step)), theirs(image(seed=step)), rtol=0, atol=1e-6)
        assert_close(ours.state_dict()["bases"], theirs.bases, rtol=0, atol=1e-6)

    def test_bases_after_three_steps_are_the_authors(self):
        ours = bases_of(bases_update="official").double()
        expected = ours.bases.clone()
        for step in range(3):
            x = image(seed=step, dtype=torch.float64)
            expected = reference_update(expected, x, 3, 0.1)
            ours(x)
        assert_close(ours.state_dict()["bases"], expected, rtol=0, atol=1e-12)

    def test_they_shrink_unless_they_are_given_length_one_again(self):
        norms = {}
        for renorm in (False, True):
            unit = bases_of(renorm_bases=renorm)
            for step in range(20):
                unit(image(seed=step))
            norms[renorm] = unit.state_dict()["bases"].norm(dim=1)
        assert norms[False].max() < 0.99
        assert_close(norms[True], torch.ones(1, 4))


class Net(nn.Module):
    """Something to train around the bases."""

    def __init__(self, cls=EMBases, how="plain"):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 2, 1)
        self.unit, self.how = bases_of(cls), how

    def layers(self, x):
        y = self.first(x)
        # needs what the unit gives, so backward computes it again
        return self.last(y + self.unit(y))

    def forward(self, x):
        if self.how == "plain":
            return self.layers(x)
        return checkpoint(self.layers, x, use_reentrant=self.how == "re-entrant")


class SharedNet(Net):
    """One that looks twice, as a backbone that two branches share."""

    def forward(self, x):
        return super().forward(x) + 2 * super().forward(x.flip(-1) * 0.5)


class SharedUnit(nn.Module):
    """The plug-in behind a trunk that does not learn, twice a step."""

    def __init__(self, how="plain"):
        super().__init__()
        torch.manual_seed(0)
        self.unit, self.how = EMAUnit2d(8, num_bases=4, norm_cfg=dict(type="GN", num_groups=2)), how
        nn.init.ones_(self.unit.norm.weight)
        self.unit.ema_mid_conv.requires_grad_(False)

    def look(self, x):
        return self.unit(x).square()  # needs what the unit gives

    def forward(self, x):
        if self.how == "plain":
            return self.look(x) + self.look(0.5 * x)
        looks = [
            checkpoint(self.look, y, use_reentrant=self.how == "re-entrant") for y in (x, 0.5 * x)
        ]
        return looks[0] + looks[1]


def step(net, x):
    """One training step's loss and gradients."""
    net.zero_grad()
    loss = net(x.clone().requires_grad_()).square().mean()
    loss.backward()
    return loss.detach(), {
        n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None
    }


class TestBasesMove:
    @pytest.mark.parametrize("how", ["non-re-entrant", "re-entrant"])
    def test_once_a_step_under_checkpointing(self, how):
        plain, other = Net(), Net(how=how)
        for seed in range(3):
            assert_close(
                step(other, image(seed=seed)), step(plain, image(seed=seed)), rtol=0, atol=1e-6
            )
        assert_close(other.state_dict(), plain.state_dict(), rtol=0, atol=1e-6)

    @UPSTREAM
    def test_once_a_step_under_checkpointing_upstream(self):
        plain, other = Net(Upstream), Net(Upstream, "non-re-entrant")
        for net in (plain, other):
            step(net, image())
        assert_close(other.unit.bases, plain.unit.bases, rtol=0, atol=1e-6)

    def test_not_in_a_forward_without_gradients(self):
        unit = bases_of()
        before = unit.bases.clone()
        with torch.no_grad():
            unit(image())
        assert torch.equal(unit.state_dict()["bases"], before)

    @pytest.mark.parametrize("how", ["non-re-entrant", "re-entrant"])
    @pytest.mark.parametrize("shared", [SharedNet, SharedUnit])
    def test_once_a_step_in_which_the_module_runs_twice(self, how, shared):
        plain, other = shared(), shared(how=how)
        for seed in range(3):
            assert_close(
                step(other, image(seed=seed)), step(plain, image(seed=seed)), rtol=0, atol=1e-6
            )
        assert_close(other.state_dict(), plain.state_dict(), rtol=0, atol=1e-6)

    def test_the_forwards_of_one_step_are_one_batch(self):
        twice, joined = Net(), Net()
        for seed in range(2):
            x = image(batch=4, seed=seed)
            (twice(x[:1]).sum() + twice(x[1:]).sum()).backward()
            joined(x).sum().backward()
        assert_close(twice.state_dict(), joined.state_dict(), rtol=0, atol=1e-6)

    def test_other_units_between_are_no_backward(self):
        net, others = Net(how="non-re-entrant"), [Net() for _ in range(5)]
        plain = copy.deepcopy(net)
        plain.how = "plain"
        found = []
        for one in (net, plain):
            loss = one(image().requires_grad_()).square().mean()
            for other in others:
                other(image())
            loss = loss + one(image(seed=4).requires_grad_()).square().mean()
            loss.backward()
            found.append({name: p.grad for name, p in one.named_parameters()})
        assert_close(*found, rtol=0, atol=1e-6)

    def test_not_between_a_forward_and_its_backward(self):
        net = Net(how="non-re-entrant")
        expected = step(copy.deepcopy(net), image())
        net.zero_grad()
        loss = net(image().requires_grad_()).square().mean()
        with torch.no_grad():
            net(image(seed=9))  # a teacher's look, say
        loss.backward()
        grads = {name: p.grad for name, p in net.named_parameters()}
        assert_close((loss.detach(), grads), expected, rtol=0, atol=1e-6)

    @UPSTREAM
    def test_not_in_a_forward_without_gradients_upstream(self):
        unit = bases_of(Upstream)
        before = unit.bases.clone()
        with torch.no_grad():
            unit(image())
        assert torch.equal(unit.bases, before)

    def test_not_in_evaluation_which_is_the_same_every_time(self):
        unit = bases_of()
        unit(image())
        unit.eval()
        before = unit.bases.clone()
        assert torch.equal(unit(image()), unit(image()))
        assert torch.equal(unit.bases, before)

    def test_in_place(self):
        unit = bases_of()
        address = unit.bases.data_ptr()
        unit(image())
        unit(image())
        assert unit.bases.data_ptr() == address

    def test_at_each_forward_where_gradients_are_accumulated_as_in_mmseg(self):
        ours, theirs = Net(), Net(Upstream)
        for seed in range(4):
            for net in (ours, theirs):
                net(image(seed=seed)).square().mean().backward()
        assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=1e-6)

    def test_a_resumed_run_goes_on_as_if_nothing_had_happened(self):
        whole, first = Net(), Net()
        for seed in range(2):
            step(whole, image(seed=seed))
            step(first, image(seed=seed))
        second = Net()
        second(image(seed=7))  # noted by a run that is not this one
        second.load_state_dict(copy.deepcopy(first.state_dict()), strict=True)
        for net in (whole, first, second):
            step(net, image(seed=2))
        assert_close(second.state_dict(), whole.state_dict(), rtol=0, atol=0)
        assert_close(first.state_dict(), whole.state_dict(), rtol=0, atol=0)

    def test_under_torch_compile(self, tmp_path):
        run(COMPILED, cwd=tmp_path)


# In a process of its own: the checks of shapes that run in tests are nothing for a compiler.
COMPILED = """
    import torch
    from torch import nn
    from torch.testing import assert_close
    from mmext.layers.em_attention import EMAUnit2d
    from mmext.layers.em_bases import EMBases

    def net():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(8, 8, 1), EMBases(8, 4), nn.Conv2d(8, 2, 1))

    plain, compiled = net(), net()
    fast = torch.compile(compiled, backend="aot_eager")
    for seed in range(3):
        x = torch.randn(2, 8, 5, 7, generator=torch.Generator().manual_seed(seed))
        for one in (plain, fast):
            one(x).square().mean().backward()
    assert_close(compiled.state_dict(), plain.state_dict(), rtol=0, atol=1e-6)
    assert not torch.equal(plain.state_dict()["1.bases"], net().state_dict()["1.bases"])

    unit, x = EMAUnit2d(8, num_bases=4), torch.randn(2, 8, 5, 7)
    assert torch._dynamo.explain(unit)(x).graph_break_count == 1
    torch._dynamo.reset()
    assert torch._dynamo.explain(unit.eval())(x).graph_break_count == 0
"""


def bases_of_rank(rank, how):
    net = Net(how=how)
    for seed in range(2):
        x = image(batch=4, seed=seed)
        step(net, x[:1] if rank == 0 else x[1:])
    net.eval() if how != "re-entrant" else net(image(batch=1).requires_grad_())
    return net.unit.bases.clone()


@pytest.mark.parametrize("how", ["plain", "non-re-entrant", "re-entrant"])
def test_two_ranks_of_one_and_three_images_equal_one_process(how, two_ranks):
    net = Net()
    for seed in range(2):
        step(net, image(batch=4, seed=seed))
    found = two_ranks(bases_of_rank, how)
    assert torch.equal(*found)
    assert_close(found[0], net.state_dict()["unit.bases"], rtol=0, atol=1e-6)


def test_a_group_of_one_rank_waits_for_nobody(tmp_path):
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/one", rank=0, world_size=1
    )
    try:
        net = Net()
        step(net, image())
    finally:
        distributed.destroy_process_group()
    other = Net()
    step(other, image())
    assert_close(net.state_dict(), other.state_dict(), rtol=0, atol=0)


class TestCorners:
    @pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 5), (13, 3)])
    @pytest.mark.parametrize("batch", [1, 3])
    def test_maps_of_any_size_with_more_bases_than_places(self, size, batch):
        unit = bases_of(num_bases=64)
        assert torch.isfinite(unit(image(size, batch=batch))).all()
        assert torch.isfinite(unit.state_dict()["bases"]).all()

    @pytest.mark.parametrize("value", [0.0, 1.0, 1e4])
    def test_constant_maps(self, value):
        unit = bases_of()
        assert torch.isfinite(unit(torch.full((2, 8, 5, 5), value))).all()
        assert torch.isfinite(unit.state_dict()["bases"]).all()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_it_is_float32_inside_under_autocast(self, dtype):
        unit, x = bases_of(), image(dtype=dtype)
        with torch.autocast("cpu", dtype=dtype):
            found = unit(x)
        assert found.dtype == dtype
        assert torch.equal(found, bases_of()(x.float()).to(dtype))
        assert unit.state_dict()["bases"].dtype == torch.float32

    def test_a_model_in_bfloat16(self):
        unit = bases_of().bfloat16()
        assert torch.isfinite(unit(image(dtype=torch.bfloat16))).all()
        assert unit.state_dict()["bases"].dtype == torch.bfloat16

    def test_copies_move_for_themselves(self):
        net = Net()
        step(net, image())
        twin = copy.deepcopy(net)
        assert_close(twin.state_dict(), net.state_dict(), rtol=0, atol=0)


class TestBadInput:
    @pytest.mark.parametrize(
        ("cfg", "message"),
        [
            (dict(bases_update="mean"), "bases_update must be one of"),
            (dict(num_bases=0), "num_bases must be above 0, got 0"),
            (dict(num_stages=0), "num_stages must be above 0, got 0"),
            (dict(temperature=0.0), r"temperature must be above 0, got 0\.0"),
        ],
    )
    def test_arguments(self, cfg, message):
        with pytest.raises(ValueError, match=message):
            bases_of(**cfg)

    def test_a_map_of_other_channels(self):
        with pytest.raises(
            ValueError, match="expected a map of 8 channels, as many as the bases have, got 6"
        ):
            bases_of()(image(channels=6))

    @pytest.mark.parametrize("strict", [True, False])
    def test_bases_of_another_size(self, strict):
        with pytest.raises(
            ValueError, match=r"unit\.bases: expected \(1, 8, 4\) .* got \(1, 8, 6\)"
        ):
            Net().load_state_dict({"unit.bases": torch.zeros(1, 8, 6)}, strict=strict)
