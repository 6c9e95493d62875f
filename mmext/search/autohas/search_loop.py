"""What both ways of searching share: batches, knobs, the cap, the checkpoint, the recipe."""

import itertools
import json
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from torch import Tensor

from mmext.errors import BadInputError
from mmext.search.autohas import recipe
from mmext.search.autohas.batches import endless, validation_loader, without_augments
from mmext.search.autohas.controller import Controller
from mmext.search.autohas.decisions import decisions_of
from mmext.search.autohas.finalists import best_of, keep_first_weights
from mmext.search.autohas.knobs import AttributeKnob, Knob, choice_decisions, knob_of
from mmext.search.autohas.snapshot import Snapshot
from mmext.search.autohas.trial import (
    loss_of,
    require_plain_steps,
    seed_all,
    validation_loss,
    values_set,
)

CAP = 4.0
"""The cap, in losses of the weights that the search begins with."""


GIVEN_BACK = 0.5
"""Share of what the best weights of a step have gained that those which become W may lack."""

FALLEN = 0.95
"""Of the first validation loss: what weights are below that have learnt something."""


def lowest_at_the_end(curve: Sequence[Mapping[str, Any]]) -> float:
    """The lowest mean loss of the candidates of a step, among the last tenth of the steps.

    Example:
        >>> lowest_at_the_end([dict(reward=-0.1), *[dict(reward=-2.0)] * 9, dict(reward=-3.0)])
        3.0
    """
    rewards = [row["reward"] for row in curve[-max(1, len(curve) // 10) :]]
    return min((-one for one in rewards if math.isfinite(one)), default=math.inf)


class SearchLoop(IterBasedTrainLoop):
    """What both ways of searching share: batches, knobs, the checkpoint, the recipe.

    Args:
        runner: of the run.
        dataloader: of training.
        max_iters: steps of the controller.
        space: what is searched beside the ``mmext.Choice`` modules of the model; see
            :func:`~mmext.search.autohas.decisions.decisions_of`.
        updates: U, updates of the weights a step.
        controller: options of :class:`~mmext.search.autohas.controller.Controller`.
        finalists: combinations that are trained from the first weights before one is named.
        val_batch_size: of the batches on which candidates are compared; that of training if None.
        cap: losses above it, and those that are no number, count as this; a quarter of it stands
            for the first weights' loss, and weights whose loss is not below half of it are never
            kept. None is four times the first weights' loss.
        val_begin: step from which the whole validation runs.
        val_interval: steps between two of them.

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
        updates: int = 5,
        controller: dict[str, Any] | None = None,
        finalists: int = 3,
        val_batch_size: int | None = None,
        cap: float | None = None,
        val_begin: int = 1,
        val_interval: int = 1000,
    ) -> None:
        # Not IterBasedTrainLoop's own, which starts to read batches that are not used then.
        BaseLoop.__init__(self, runner, dataloader)
        for name, value, least in (
            ("max_iters", max_iters, 1),
            ("updates", updates, 1),
            ("finalists", finalists, 0),
        ):
            if value < least:
                raise BadInputError(f"{name} expected {least} or more, got {value}; change it")
        if cap is not None and not cap > 0:
            raise BadInputError(f"cap expected a number above 0, got {cap}; change it")
        self._max_iters, self._max_epochs = int(max_iters), 1
        self._epoch = self._iter = 0
        self.val_begin, self.val_interval = val_begin, val_interval
        self.dynamic_milestones, self.dynamic_intervals = [0], [val_interval]
        self.stop_training = False
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, "metainfo", None)
        self.decisions = decisions_of(space or {})
        self.updates, self.finalists = updates, finalists
        self._options, self._given_cap = controller or {}, cap
        self.val_config = validation_loader(
            runner.cfg.get("val_dataloader"), val_batch_size or self.dataloader.batch_size or 1
        )
        self._resumed: dict[str, Any] | None = None
        runner.register_hook(_StateHook(self), priority="VERY_LOW")

    @property
    def model(self) -> Any:
        """Without a wrapper."""
        model = self.runner.model
        return model.module if is_model_wrapper(model) else model

    def run(self) -> torch.nn.Module:
        """Search, name the winner, write ``best_recipe.py``."""
        self._prepare()
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        self._skip()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter()
            if (
                self.runner.val_loop is not None
                and self._iter >= self.val_begin
                and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
            ):
                self.runner.val_loop.run()
        self._doubt()
        winner, table = best_of(self)
        recipe.write(self.runner, self.controller, winner, table, self._max_iters * self.updates)
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def _doubt(self) -> None:
        """Say so if the shared weights have learnt nothing: what they judged then says little."""
        if self._given_cap is not None or getattr(self, "reward", "loss") != "loss":
            return
        first, last = self.cap / CAP, lowest_at_the_end(self.controller.curve)
        if last > FALLEN * first:
            print_log(
                f"AutoHAS: the validation loss of the shared weights is {last:.4g} at the end and "
                f"was {first:.4g} before the first step, so they have learnt nothing, perhaps as "
                "a large value that was drawn early broke them; trust no value that finalists did "
                "not try, take the largest ones out of the space, or take another seed",
                logger="current",
                level=logging.WARNING,
            )

    def _prepare(self) -> None:
        """Everything that needs the model and its optimiser, which are built after the loop."""
        runner = self.runner
        require_plain_steps(runner.model, runner.optim_wrapper)
        self.decisions += choice_decisions(self.model)
        if not self.decisions:
            raise BadInputError(
                "space: AutoHAS expected something to search, got no key and a model without "
                "mmext.Choice; add one, such as {'optim_wrapper.optimizer.lr': dict(basis=[...])}"
            )
        config = runner.cfg
        self.knobs: dict[str, Knob] = {
            one.name: knob_of(one.name, self.model, runner.optim_wrapper, config)
            for one in self.decisions
        }
        seeds = [runner.seed]
        dist.broadcast_object_list(seeds)  # a rank may have its own
        self.seed = int(seeds[0])
        self.controller = Controller(self.decisions, self._max_iters, self.seed, **self._options)
        self.snapshot = Snapshot(self.model, runner.optim_wrapper)
        self.val_dataloader = runner.build_dataloader(self.val_config, seed=self.seed)
        self._training = endless(self.dataloader)
        self._validation = endless(self.val_dataloader)
        self._refuse_deaf_knobs()
        self.cap = self._first_cap() if self._given_cap is None else self._given_cap
        if self._iter and self._resumed is not None:
            self.load_state_dict(self._resumed)
        keep_first_weights(self)

    def _skip(self) -> None:
        """Pass over the batches of the steps before a resumed one."""
        if self._iter:
            print_log(f"Passing over the batches of {self._iter} steps", logger="current")
            for _ in range(self._iter * self.updates):
                next(self._training)
            for _ in range(self._iter):
                next(self._validation)

    def next_batch(self) -> Any:
        """The next raw batch of training."""
        return next(self._training)

    def batches(self) -> tuple[list[Any], list[Any], Any, Any]:
        """Raw and preprocessed batches of a step: U of training, one of validation."""
        seed_all(self.seed, self._iter, 0)
        raw = [next(self._training) for _ in range(self.updates)]
        raw_validation = next(self._validation)
        preprocess = self.model.data_preprocessor
        with torch.no_grad():
            ready = [preprocess(one, True) for one in raw]
            with without_augments(preprocess):
                validation = preprocess(raw_validation, True)
        return raw, ready, raw_validation, validation

    def _refuse_deaf_knobs(self) -> None:
        """Refuse a number of the model that is read only when the model is built.

        Raises:
            BadInputError: two values of it give the same loss.
        """
        deaf = [one for one in self.decisions if isinstance(self.knobs[one.name], AttributeKnob)]
        deaf = [one for one in deaf if one.name.startswith("model.")]
        if not deaf:
            return
        first = next(self._training)
        self._training = itertools.chain([first], self._training)
        data = self.model.data_preprocessor(first, True)
        self.model.train()
        self.snapshot.take()
        for one in deaf:
            losses = []
            for value in (min(one.choices), max(one.choices)):
                seed_all(self.seed, 0, 1)
                with values_set(self.knobs, {one.name: value}), torch.no_grad():
                    losses.append(loss_of(self.model, data)[0])
                self.snapshot.restore()
            moved = (losses[0] != losses[1]).float()
            dist.all_reduce(moved, op="max")
            if not moved:
                raise BadInputError(
                    f"space: {one.name} expected a value that training reads, but the loss of the "
                    f"first batch is the same with {min(one.choices)} and {max(one.choices)}; "
                    "search it with tools/search.py, which builds a model for each value"
                )

    def _first_cap(self) -> float:
        """Four times the loss of the weights that the search begins with."""
        first = next(self._validation)
        self._validation = itertools.chain([first], self._validation)
        preprocess = self.model.data_preprocessor
        with without_augments(preprocess):
            data = preprocess(first, True)
        seed_all(self.seed, 0, 2)
        loss = validation_loss(self.runner.model, self.runner.optim_wrapper, data)
        (value,) = agreed([loss])
        if not 0 < value < float("inf"):
            raise BadInputError(
                "cap: expected a first validation loss above 0, of which the cap is four times, "
                f"got {value}; set cap=... in train_cfg, or mend the loss"
            )
        return CAP * value

    def may_become_shared(self, loss: float, losses: Sequence[float]) -> bool:
        """Whether weights of such a validation loss may become W.

        A step can throw away what all steps before it have learnt: with a rate that is far too
        large every ReLU dies, and the loss is that of a net which knows nothing, not a large one.
        So weights have to keep half of what the best ones of the step have gained over the first
        weights. They are compared on one batch, so a hard batch keeps nothing out, and the best
        ones can always stay unless they are twice as bad as the first.

        Args:
            loss: of the weights.
            losses: of all weights that the step has tried.
        """
        if not (math.isfinite(loss) and loss < self.cap / 2):
            return False
        best = min(one for one in losses if math.isfinite(one))
        return loss <= best + GIVEN_BACK * max(0.0, self.cap / CAP - best)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs beside weights and optimiser."""
        return dict(controller=self.controller.state_dict(), cap=self.cap)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.controller.load_state_dict(state["controller"])
        self.cap = float(state["cap"])


class _StateHook(Hook):
    """Puts the search into checkpoints, and takes it out of one that is resumed."""

    def __init__(self, loop: SearchLoop) -> None:
        self._loop = loop

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """As JSON, which loads without trust in the file."""
        checkpoint["autohas"] = json.dumps(self._loop.state_dict())

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Kept until the loop knows its decisions."""
        if "autohas" in checkpoint:
            self._loop._resumed = json.loads(checkpoint["autohas"])


def agreed(losses: Sequence[Tensor]) -> list[float]:
    """Means over ranks, to the last bit the same on each; NaN if it is so on one."""
    together = torch.stack([one.reshape(()) for one in losses])
    dist.all_reduce(together, op="mean")
    dist.broadcast(together)
    return together.tolist()
