"""A model that learns from human and pseudo-labelled pictures: any host's, with a ``loss``."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.registry import MODELS as ANY_MODELS
from torch import Tensor, nn

from mmext.functional import at_least_float32
from mmext.registry import MODELS
from mmext.self_training.pseudo_labels.losses import joint_loss, loss_ratio, updated_means
from mmext.self_training.pseudo_labels.sources import SOURCES, Rows, rows_by_source, taken

INNER = "model."
OWN = "self_training."
"""Of the keys of a state dict: what stands before the inner model's here, and before our own."""


class LossMeans(nn.Module):
    """Running means of both branches' losses, over the pictures of all ranks. Saved, in float32."""

    sums: Tensor
    weights: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("sums", torch.zeros(2))
        self.register_buffer("weights", torch.zeros(2))

    @torch.no_grad()
    def update(self, losses: Mapping[str, Tensor]) -> None:
        """Take in one step. Every rank calls this in every step, with whatever branches it has.

        Args:
            losses: L_h as ``human`` and L_p as ``pseudo``, either may be missing.
        """
        missing = self.sums.new_full((), torch.nan)
        here = torch.stack([losses.get(one, missing).to(self.sums.dtype) for one in SOURCES])
        seen = here.isfinite()
        both = torch.stack([torch.where(seen, here, 0.0), seen.to(here.dtype)])
        all_reduce(both)
        means = both[0] / both[1].clamp_min(1)
        sums, weights = updated_means(self.sums, self.weights, means, both[1] > 0, decay=self.decay)
        self.sums.copy_(sums)
        self.weights.copy_(weights)

    def ratio(self) -> Tensor:
        """m_h / m_p, bounded."""
        return loss_ratio(self.sums, self.weights)


@MODELS.register_module()
class SelfTrainingWrapper(BaseModel):
    """A student around any model: a loss for each source's pictures, put on one scale.

    Its checkpoints are the inner model's, so the original config tests them; the running means lie
    under ``self_training.``, which that model does not know. A checkpoint of the original config
    loads here too. What is asked of the student and not found (``bbox_head``) is asked of the inner
    model, so hooks that look for it work.

    Two passes over half a batch give what one pass gives where no layer takes statistics of its
    batch. Batch norm in training does, once for each source; heads that divide by all ranks'
    positives do it for each source as well. The preprocessor must not mix pictures of a batch.

    Args:
        model: config of the inner model, or the model.
        alpha: weight of the pseudo-labelled branch, 0 or more.
        loss_norm: whether the branches are put on one scale; else the loss is L_h + alpha L_p.
        decay: of the running means; the default is said to be the paper's.
        pseudo_from: iteration from which the pseudo-labelled branch counts.
        log_branches: whether each loss of each branch is logged, as ``human.cls``; every logged
            number is a moment's wait for a GPU.
    """

    def __init__(
        self,
        model: Any,
        alpha: float = 1.0,
        loss_norm: bool = True,
        decay: float = 0.9997,
        pseudo_from: int = 0,
        log_branches: bool = True,
    ) -> None:
        super().__init__()
        del self.data_preprocessor  # the inner model's serves: see __getattr__
        if not alpha >= 0:
            raise ValueError(f"alpha must be 0 or more, got {alpha}; change it")
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}; change it")
        self.model = ANY_MODELS.build(model) if isinstance(model, dict) else model
        if type(self.model).train_step is not BaseModel.train_step:
            raise TypeError(
                "SelfTrainingWrapper expected a model that mmengine trains by its loss, got "
                f"{type(self.model).__name__} with a train_step of its own; wrap the "
                "model inside it"
            )
        self.self_training = LossMeans(decay) if loss_norm else None
        self.alpha, self.pseudo_from, self.log_branches = alpha, pseudo_from, log_branches
        self._register_state_dict_hook(_save_as_the_inner_model)
        self._register_load_state_dict_pre_hook(_load_as_the_inner_model)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model" or name.startswith("_"):  # while this is built, or its own business
                raise
            return getattr(self.model, name)

    def forward(
        self, inputs: Any, data_samples: Sequence[Any] | None = None, mode: str = "tensor"
    ) -> Any:
        """The inner model's features or predictions; in mode ``loss`` the joint loss."""
        if mode != "loss":
            return self.model(inputs, data_samples, mode=mode)
        if data_samples is None:
            raise ValueError("mode='loss' expected data_samples, got None; give one a picture")
        return self.loss(inputs, data_samples)

    def loss(self, inputs: Any, data_samples: Sequence[Any]) -> dict[str, Any]:
        """``loss_joint``, and what is only logged: the branches, and the factor on L_p.

        An entry counts for its branch if its name has "loss" in it, which is mmengine's rule.
        """
        rows = self._branches(data_samples)
        losses = {
            one: self.model(*_part(inputs, data_samples, some), mode="loss")
            for one, some in rows.items()
        }
        totals = {one: total_of(branch) for one, branch in losses.items()}
        logged = {
            key: value
            for one, branch in losses.items()
            for key, value in _renamed(branch, one).items()
            if self.log_branches
        }
        joint, ratio = self._joined(totals)
        return {**logged, **({"ratio": ratio} if self.log_branches else {}), "loss_joint": joint}

    def _branches(self, data_samples: Sequence[Any]) -> dict[str, Rows]:
        rows = rows_by_source(data_samples)
        if self.pseudo_from and len(rows) == 2 and iteration() < self.pseudo_from:
            del rows["pseudo"]
        return rows

    def _joined(self, totals: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The joint loss, and the factor on L_p."""
        if self.self_training is None:
            factors = dict(zip(SOURCES, (1.0, self.alpha), strict=True))
            parts = [factors[one] * total for one, total in totals.items()]
            return sum(parts[1:], parts[0]), parts[0].new_ones(())
        self.self_training.update(totals)
        ratio = self.self_training.ratio()
        human, pseudo = (totals.get(one) for one in SOURCES)
        return joint_loss(human, pseudo, ratio, alpha=self.alpha), ratio

    def val_step(self, data: Any) -> list:
        """The inner model's."""
        return self.model.val_step(data)

    def test_step(self, data: Any) -> list:
        """The inner model's."""
        return self.model.test_step(data)


def iteration() -> int:
    """The training's, which mmengine's Runner notes; 0 where there is none."""
    return int(MessageHub.get_current_instance().get_info("iter", 0))


def total_of(losses: Mapping[str, Any]) -> Tensor:
    """What mmengine would train on, at least in float32: the entries with "loss" in their name."""
    parts = [
        at_least_float32(one).mean()
        for name, value in losses.items()
        if "loss" in name
        for one in (value if isinstance(value, list | tuple) else [value])
    ]
    if not parts:
        raise ValueError(
            f"expected losses of the inner model, got entries {', '.join(losses) or 'none'}; what "
            "is to be trained on has loss in its name"
        )
    return sum(parts[1:], parts[0])


def _part(inputs: Any, data_samples: Sequence[Any], rows: Rows) -> tuple[Any, Any]:
    if rows == slice(0, len(data_samples)):
        return inputs, data_samples
    return taken(inputs, rows), taken(data_samples, rows)


def _renamed(losses: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The same numbers under names that mmengine does not sum.

    Example:
        >>> list(_renamed({"loss_cls": torch.ones(1), "aux.loss": torch.ones(1)}, "human"))
        ['human.cls', 'human.aux.all']
    """
    renamed = {}
    for name, value in losses.items():
        parts = [part.replace("loss", "").strip("_") or "all" for part in name.split(".")]
        key = ".".join([source, *parts])
        renamed[key] = (
            [one.detach() for one in value] if isinstance(value, list | tuple) else value.detach()
        )
    return renamed


def _save_as_the_inner_model(
    module: nn.Module, state: "OrderedDict[str, Any]", prefix: str, local_metadata: Any
) -> None:
    """Take the prefix off the inner model's keys, and keep their order."""
    del module, local_metadata
    start = prefix + INNER
    entries = list(state.items())
    state.clear()
    state.update(
        (prefix + key[len(start) :] if key.startswith(start) else key, value)
        for key, value in entries
    )
    # Both names: each side of a later loading looks for versions under its own.
    versions = getattr(state, "_metadata", {})
    for key in [one for one in versions if one.startswith(start)]:
        versions[prefix + key[len(start) :]] = versions[key]


def _load_as_the_inner_model(state: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Put it back, whoever has saved."""
    del rest
    for key in [one for one in state if one.startswith(prefix)]:
        name = key[len(prefix) :]
        if not name.startswith(OWN):
            state[prefix + INNER + name] = state.pop(key)
