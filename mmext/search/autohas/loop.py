"""The loop: every step tries a few candidates from the shared weights and learns from them."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine import dist
from mmengine.runner import Runner
from torch import Tensor

from mmext.errors import BadInputError, did_you_mean
from mmext.registry import LOOPS
from mmext.search.autohas.search_loop import SearchLoop, agreed
from mmext.search.autohas.trial import (
    Logged,
    gradient,
    seed_all,
    train,
    validation_loss,
    values_set,
)
from mmext.search.reinforce import Draw

COMMITS = ("sample", "mode", "best")


@LOOPS.register_module()
class AutoHASLoop(SearchLoop):
    """Search by REINFORCE over temporary weights.

    Each step draws K candidates, moves a copy of W by U updates with each one's values on the same
    batches, and takes how these weights do on a batch of validation as reward. The first one that
    was drawn becomes W, unless it has lost what W had learnt. Candidates of equal values are tried
    once.

    Where only the optimiser's settings are searched and U is 1, all candidates start from one
    gradient, so a step costs one backward pass instead of K.

    Args:
        runner: of the run.
        dataloader: of training.
        max_iters: steps of the controller.
        space: what is searched beside the ``mmext.Choice`` modules of the model.
        candidates: K; one alone is compared with the mean of the rewards before.
        commit: which candidate becomes W: ``sample``, the first that was drawn; ``mode``, the most
            probable one; ``best``, that of the highest reward.
        reward: ``loss``, the negative validation loss, or a metric of ``val_evaluator`` of which
            more is better; the paper takes the accuracy.
        **search_cfg: ``updates`` (U), ``controller``, ``finalists``, ``val_batch_size``, ``cap``,
            ``val_begin`` and ``val_interval``; see ``SearchLoop``.

    Raises:
        BadInputError: something of these cannot be.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Any,
        max_iters: int,
        space: dict[str, dict] | None = None,
        *,
        candidates: int = 4,
        commit: str = "sample",
        reward: str = "loss",
        **search_cfg: Any,
    ) -> None:
        super().__init__(runner, dataloader, max_iters, space, **search_cfg)
        if candidates < 1:
            raise BadInputError(f"candidates expected 1 or more, got {candidates}; change it")
        if commit not in COMMITS:
            raise BadInputError(f"commit expected one of {COMMITS}, got {commit!r}; change it")
        self.candidates, self.commit, self.reward = candidates, commit, reward

    def _prepare(self) -> None:
        super()._prepare()
        wrapper = self.runner.optim_wrapper
        self._shares_gradient = (
            self.updates == 1
            and not hasattr(wrapper, "loss_scaler")  # which takes one step a gradient
            and all(one.shares_gradient for one in self.knobs.values())
        )

    def run_iter(self) -> None:
        """One step: candidates, their rewards, W and theta."""
        raw, batches, raw_validation, validation = self.batches()
        self.runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=raw[0])
        draws = self.controller.draw(self._iter, self.candidates)
        chosen = self.controller.policy.mode() if self.commit == "mode" else draws[0]
        tried = [one for one in _unique(draws) if one != chosen] + [chosen]
        logs, losses, metrics = self._try(tried, batches, validation, raw_validation)
        rewards = metrics or [-self._capped(loss) for loss in losses]
        if self.commit == "best":
            best = max(range(len(tried)), key=rewards.__getitem__)
            if best != len(tried) - 1:
                self.snapshot.restore()
                self._train(tried[best], batches)
            last = best
        else:
            last = len(tried) - 1
        committed = self.may_become_shared(losses[last], losses)
        if not committed:
            self.snapshot.restore()
        else:
            self.controller.watch(self._iter, losses[last])
        by_draw = [rewards[tried.index(one)] for one in draws]
        self.controller.learn(self._iter, draws, by_draw)
        outputs = {
            **logs[last],
            "val_loss": losses[last],
            "reward": sum(by_draw) / len(by_draw),
            "committed": float(committed),
            "entropy": self.controller.entropy(),
        }
        self.runner.call_hook(
            "after_train_iter", batch_idx=self._iter, data_batch=raw[0], outputs=outputs
        )
        self._iter += 1

    def _try(
        self, tried: Sequence[Draw], batches: Sequence[Any], validation: Any, raw: Any
    ) -> tuple[list[Logged], list[float], list[float]]:
        """Train and measure each candidate; the weights of the last one stay.

        The host waits for the device once, unless a metric is asked for.
        """
        runner = self.runner
        logs: list[Logged] = []
        losses: list[Tensor] = []
        metrics: list[float] = []
        self.snapshot.take()
        shared = self._shared_gradient(batches) if self._shares_gradient else None
        for number, draw in enumerate(tried):
            if number:
                # The shared pass has moved the buffers, once and for all candidates.
                self.snapshot.restore(buffers=shared is None)
            if shared is None or not self._step(draw, number):
                shared = None
                logs.append(self._train(draw, batches))
            else:
                logs.append(shared)
            seed_all(self.seed, self._iter, 2)
            losses.append(validation_loss(runner.model, runner.optim_wrapper, validation))
            if self.reward != "loss":
                metrics.append(self._metric(raw))
        runner.optim_wrapper.zero_grad()
        return logs, agreed(losses), metrics

    def _train(self, draw: Draw, batches: Sequence[Any]) -> Logged:
        runner = self.runner
        seed_all(self.seed, self._iter, 1)
        with values_set(self.knobs, self.controller.values(draw)):
            return train(runner.model, runner.optim_wrapper, batches)

    def _shared_gradient(self, batches: Sequence[Any]) -> Logged:
        """Work the gradient out once."""
        seed_all(self.seed, self._iter, 1)
        logged = gradient(self.runner.model, self.runner.optim_wrapper, batches[0])
        self._gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        self._versions = [one._version for one in self._gradients]
        return logged

    def _step(self, draw: Draw, number: int) -> bool:
        """Move W by the shared gradient; false if an optimiser has written into that."""
        if number and [one._version for one in self._gradients] != self._versions:
            self._shares_gradient = False
            self.runner.optim_wrapper.zero_grad()
            self.snapshot.restore()
            return False
        with values_set(self.knobs, self.controller.values(draw)):
            self.runner.optim_wrapper.optimizer.step()
        return True

    def _metric(self, raw: Any) -> float:
        """A metric of the current weights on the batch of validation, over all ranks."""
        evaluator = self.runner.val_loop.evaluator
        self.model.eval()
        with torch.no_grad(), self.runner.optim_wrapper.optim_context(self.model):
            outputs = self.model.val_step(raw)
        self.model.train()
        evaluator.process(data_samples=outputs, data_batch=raw)
        found = evaluator.evaluate(len(outputs) * dist.get_world_size())
        if self.reward not in found:
            raise BadInputError(
                f"reward expected 'loss' or a metric of val_evaluator, {', '.join(found)}, got "
                f"{self.reward!r}{did_you_mean(self.reward, found)}; change it"
            )
        return float(found[self.reward])

    def _capped(self, loss: float) -> float:
        return loss if loss < self.cap else self.cap  # NaN is not below


def _unique(draws: Sequence[Draw]) -> Iterator[Draw]:
    for number, one in enumerate(draws):
        if one not in draws[:number]:
            yield one
