"""The standardised weight that ConvAWS keeps: computed once, and never out of date."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mmext.detection.detecto_rs.aws import standardize
from tests.detection.detecto_rs.sac_layers import shake
from tests.detection.detecto_rs.test_aws import conv, filters, image


def by_optimizer(layer):
    layer.weight.grad = torch.ones_like(layer.weight)
    layer.weight.grad[0, 0, 0, 0] = -5
    torch.optim.SGD([layer.weight], lr=0.1).step()


def by_loading(layer):
    layer.load_state_dict(shake(copy.deepcopy(layer), seed=3).state_dict())


def by_copy(layer):
    with torch.no_grad():
        layer.weight[0].mul_(-3)


def by_gamma(layer):
    layer.weight_gamma.mul_(2)


def by_another_parameter(layer):
    layer.weight = nn.Parameter(layer.weight.flip(0).detach().clone())


def by_data(layer):
    layer.weight.data = layer.weight.data.flip(0)


def by_data_in_place(layer):
    """As mmengine's EMAHook swaps weights; the loop calls ``eval`` afterwards."""
    layer.weight.data.copy_(layer.weight.data.flip(0))
    layer.eval()


def by_half_and_back(layer):
    layer.half().float()


CHANGES = (
    by_optimizer,
    by_loading,
    by_copy,
    by_gamma,
    by_another_parameter,
    by_data,
    by_data_in_place,
    by_half_and_back,
)


class TestKeptWeight:
    @pytest.fixture
    def layer(self):
        layer = conv(bias=False).eval()
        with torch.no_grad():
            layer(image())
        return layer

    @staticmethod
    def truth(layer):
        return standardize(layer.weight, layer.weight_gamma, layer.weight_beta)

    @torch.no_grad()
    def test_it_is_computed_once(self, layer):
        first, second = layer.effective_weights()[0], layer.effective_weights()[0]
        assert first is second

    @pytest.mark.parametrize("change", CHANGES)
    def test_a_change_is_seen(self, layer, change):
        with torch.no_grad():
            before = layer.effective_weights()[0]
        change(layer)
        with torch.no_grad():
            after = layer.effective_weights()[0]
            assert torch.equal(after, self.truth(layer))
        assert not torch.equal(after, before)

    @torch.no_grad()
    def test_it_moves_with_the_layer(self, layer):
        assert layer.double()(image(torch.float64)).dtype == torch.float64
        assert layer.to("meta")(image().to("meta").double()).is_meta

    @pytest.mark.parametrize("mode", ["training", "gradients"])
    def test_it_is_not_kept_where_gradients_are_wanted(self, layer, mode):
        layer.train(mode == "training")
        for _ in range(2):
            layer.weight.grad = None
            layer(image()).square().sum().backward()
            assert (layer.weight.grad != 0).any()
        assert layer.effective_weights()[0] is not layer.effective_weights()[0]

    def test_frozen_layers_keep_it_and_pass_gradients_on(self, layer):
        layer.requires_grad_(False)
        x = image().requires_grad_()
        layer(x).sum().backward()
        assert layer.effective_weights()[0] is layer.effective_weights()[0]
        assert (x.grad != 0).any()

    def test_inference_mode_leaves_nothing_that_a_graph_cannot_use(self, layer):
        layer.requires_grad_(False)
        with torch.inference_mode():
            layer.eval()(image())
        x = image().requires_grad_()
        layer(x).sum().backward()
        assert (x.grad != 0).any()

    @pytest.mark.parametrize("twin", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    @torch.no_grad()
    def test_copies_have_their_own(self, layer, twin):
        other = twin(layer)
        by_copy(other)
        assert torch.equal(other.effective_weights()[0], self.truth(other))
        assert torch.equal(layer.effective_weights()[0], self.truth(layer))

    @torch.no_grad()
    def test_stand_in_tensors_are_never_mixed_up(self, layer):
        for seed in range(5):  # each may come to lie where the last one lay
            weight = filters(6, 4, dtype=torch.float32, seed=seed)[0]
            y = torch.func.functional_call(layer, {"weight": weight}, image())
            kernel = standardize(weight, layer.weight_gamma, layer.weight_beta)
            assert_close(y, nn.functional.conv2d(image(), kernel, padding=1))
            del weight

    @torch.no_grad()
    def test_an_ensemble_runs_under_vmap(self, layer):
        weights = torch.stack([layer.weight, layer.weight.flip(0)])
        x = image()
        y = torch.vmap(lambda w: torch.func.functional_call(layer, {"weight": w}, x))(weights)
        assert_close(y[0], layer(x))
