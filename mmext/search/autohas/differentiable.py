"""The gradient instead of sampling: how the validation loss changes with a value of the update.

Equations  C = onehot(argmax(theta + G)), G Gumbel; in backward C is y = softmax((theta + G) / tau);
           h = exp(sum C log B), or sum C B;  W' = one update of W with h
           dL/dtheta = 1 / tau  y (s - sum y s),  s_i = dL/dh dh/dC_i
Source     Version 1 of the paper; straight-through Gumbel: Jang et al. 2017,
           https://arxiv.org/abs/1611.01144
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mmext.errors import BadInputError
from mmext.registry import LOOPS
from mmext.search.autohas.decisions import Decision
from mmext.search.autohas.search_loop import SearchLoop, agreed
from mmext.search.autohas.trial import gradient, loss_of, seed_all, values_set
from mmext.search.reinforce import softmax

STEP = 0.1
"""Of the central difference: in the logarithm of a value, or as a share of the basis's range."""


def straight_through(
    theta: Float[np.ndarray, " C"], gumbel: Float[np.ndarray, " C"], slopes: np.ndarray, tau: float
) -> tuple[int, Float[np.ndarray, " C"]]:
    """The choice, and the gradient of the logits.

    Args:
        theta: logits.
        gumbel: noise.
        slopes: derivative of the loss by each entry of C.
        tau: temperature of the backward pass.
    """
    y = softmax((theta + gumbel) / tau)
    return int((theta + gumbel).argmax()), y * (slopes - y @ slopes) / tau


def moved(decision: Decision, value: float, by: float) -> float:
    """The value a step further, in the space in which it is mixed."""
    if decision.mix == "log":
        return float(value * np.exp(by * STEP))
    span = max(decision.choices) - min(decision.choices)
    return float(value + by * STEP * span)


def slopes_of(decision: Decision, change: float) -> Float[np.ndarray, " C"]:
    """Derivative by each entry of C, from the change of the loss between two steps apart."""
    basis = np.asarray(decision.choices, dtype=float)
    if decision.mix == "log":
        return change / (2 * STEP) * np.log(basis)
    return change / (2 * STEP * float(basis.max() - basis.min())) * basis


@LOOPS.register_module()
class DifferentiableHASLoop(SearchLoop):
    """Search along the gradient of the validation loss through one update of the weights.

    Each step draws one value a decision, updates W with them, and follows how the loss of a batch
    of validation changes with each value. It needs no other candidates, but serves only numbers
    that enter the update smoothly: rates, weight decay, momentum, weights of losses.

    Args:
        runner: of the run.
        dataloader: of training.
        max_iters: steps.
        space: what is searched, each with a basis.
        tau: temperature of the backward pass.
        **search_cfg: ``controller``, ``finalists``, ``val_batch_size``, ``cap``, ``val_begin`` and
            ``val_interval``; see ``SearchLoop``.

    Raises:
        BadInputError: something of these cannot be, or a value is not smooth.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        max_iters: int,
        space: dict[str, dict] | None = None,
        *,
        tau: float = 1.0,
        **search_cfg: Any,
    ) -> None:
        super().__init__(runner, dataloader, max_iters, space, updates=1, **search_cfg)
        if not tau > 0:
            raise BadInputError(f"tau expected a number above 0, got {tau}; change it")
        self.tau = tau

    def _prepare(self) -> None:
        super()._prepare()
        for one in self.decisions:
            if one.mix is None:
                raise BadInputError(
                    f"space: DifferentiableHASLoop expected numbers with a basis, got choices for "
                    f"{one.name}, along which nothing can be differentiated; take AutoHASLoop"
                )
        if hasattr(self.runner.optim_wrapper, "loss_scaler"):
            raise BadInputError(
                "DifferentiableHASLoop expected gradients without a loss scale, got "
                f"{type(self.runner.optim_wrapper).__name__}; take mmext.Bfloat16OptimWrapper, or "
                "AutoHASLoop"
            )

    def run_iter(self) -> None:
        """One step: an update, its validation gradient, and theta."""
        raw, (data,), _, validation = self.batches()
        self.runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=raw[0])
        rng = np.random.default_rng([self.seed, self._iter])
        policy = self.controller.policy
        noise = {name: rng.gumbel(size=len(theta)) for name, theta in policy.logits.items()}
        draw = {name: int((policy.logits[name] + noise[name]).argmax()) for name in noise}
        values = self.controller.values(draw)
        self.snapshot.take()
        logged = self._update(data, values)
        loss, toward = self._validation_gradient(validation)
        committed = self.may_become_shared(loss, [loss])
        if committed:
            gradients = {}
            for one in self.decisions:
                change = self._change(data, values, one, toward)
                _, gradients[one.name] = straight_through(
                    policy.logits[one.name], noise[one.name], slopes_of(one, change), self.tau
                )
            self.snapshot.restore()
            self._update(data, values)
            self.controller.descend(self._iter, gradients, loss)
            self.controller.watch(self._iter, loss)
        else:
            self.snapshot.restore()
            self.controller.descend(self._iter, {}, loss)
        outputs = {**logged, "val_loss": loss, "committed": float(committed)}
        outputs["entropy"] = self.controller.entropy()
        self.runner.call_hook(
            "after_train_iter", batch_idx=self._iter, data_batch=raw[0], outputs=outputs
        )
        self._iter += 1

    def _update(self, data: Any, values: dict[str, Any]) -> dict[str, Any]:
        """One update of W; the same draws of dropout and the like in each call of a step."""
        wrapper = self.runner.optim_wrapper
        seed_all(self.seed, self._iter, 1)
        with values_set(self.knobs, values):
            logged = gradient(self.runner.model, wrapper, data)
            wrapper.optimizer.step()
        wrapper.zero_grad()
        return logged

    def _validation_gradient(self, data: Any) -> tuple[float, list[Tensor]]:
        """Loss of a batch of validation and its gradient, of this update, over all ranks."""
        model, wrapper = self.model, self.runner.optim_wrapper
        seed_all(self.seed, self._iter, 2)
        model.eval()
        parameters = [p for p in model.parameters() if p.requires_grad]
        with wrapper.optim_context(model):
            loss, _ = loss_of(model, data)
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        model.train()
        (value,) = agreed([loss.detach().float()])
        return value, [
            torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)
        ]

    def _change(
        self, data: Any, values: dict[str, Any], decision: Decision, toward: Sequence[Tensor]
    ) -> float:
        """How the validation loss changes to first order between two values around the own one."""
        # DEVIATION: the update is differentiated by a central difference, not by autograd: it
        # works with any optimiser, and is exact for what an update is linear in, as in the rate.
        parts = []
        for by in (1.0, -1.0):
            self.snapshot.restore()
            self._update(
                data, {**values, decision.name: moved(decision, values[decision.name], by)}
            )
            parameters = [p for p in self.model.parameters() if p.requires_grad]
            parts.append(_product(parameters, toward))
        (change,) = agreed([parts[0] - parts[1]])
        return change


def _product(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Inner product over all parameters, in float64: it is subtracted from one nearly as large."""
    products = [
        (a.detach().double() * b.double()).sum() for a, b in zip(first, second, strict=True)
    ]
    return torch.stack(products).sum()
