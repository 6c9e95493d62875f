"""A part of a training: ended early, kept whole, and gone on from with other values.

Paper     Jaderberg et al. 2017, https://arxiv.org/abs/1711.09846, a family of the survey
Idea      members of a population train a part of the schedule at a time; before the next one a bad
          member takes over a good one's weights, with values of its own
Host      mmengine; ``tools/search.py --method pbt`` adds the hook, see ``population.py``
Deviates  none known: the paper leaves open what becomes of a schedule whose rate is changed; here
          it keeps its form, and all of it is scaled
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from mmext.errors import BadInputError
from mmext.registry import HOOKS
from mmext.search.tuner.runs import STATE


@HOOKS.register_module()
class SearchSegmentHook(Hook):
    """End a training at the first evaluation from a step on, and keep all of its state.

    What goes on from such a state (``load_from`` with ``resume``) takes over weights, the
    optimizer's moments and the place in the schedule, while rates and other settings of the
    optimizer are the config's.

    Args:
        until: epoch, or iteration where the loop counts those.
    """

    priority = "LOWEST"  # after the report and the checkpoint of the same step

    def __init__(self, until: int) -> None:
        self.until = until

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Give the values of this config to what is resumed.

        Raises:
            BadInputError: the checkpoint is of another model or optimizer.
        """
        if not runner._resume:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        require_same_shapes(model.state_dict(), checkpoint["state_dict"])
        fresh = getattr(runner.optim_wrapper, "param_groups", None)
        saved = checkpoint["optimizer"].get("param_groups")
        if not isinstance(fresh, list) or saved is None or len(fresh) != len(saved):
            raise BadInputError(
                "optim_wrapper: expected the one optimizer of the training that this goes on from, "
                "got another; search no key that changes its groups"
            )
        ratios = [_carry(old, new) for old, new in zip(saved, fresh, strict=True)]
        for one in checkpoint.get("param_schedulers", ()):
            _scale(one, [ratio.get(one["param_name"], 1.0) for ratio in ratios])

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any] | None = None) -> None:
        """Keep the state and end the training if it is time."""
        loop = runner.train_loop
        counts_iters = isinstance(loop, IterBasedTrainLoop)
        if (loop.iter if counts_iters else loop.epoch) < self.until:
            return
        place = dict(epoch=loop.epoch, iter=loop.iter)  # both are counted on already, here
        runner.save_checkpoint(runner.work_dir, STATE, meta=place, by_epoch=not counts_iters)
        loop.stop_training = True


def require_same_shapes(model: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Refuse weights of another architecture.

    Raises:
        BadInputError: with the first that differs.
    """
    for name in sorted({*model, *saved}):
        shapes = [tuple(one[name].shape) if name in one else None for one in (model, saved)]
        if shapes[0] != shapes[1]:
            raise BadInputError(
                f"{name}: expected a model of shape {shapes[1]}, whose weights it takes over, got "
                f"{shapes[0]}; search no key that changes the architecture by --method pbt"
            )


def _carry(saved: dict[str, Any], fresh: Mapping[str, Any]) -> dict[str, float]:
    """Lay fresh settings over a saved group; returns by how much each scheduled one is scaled."""
    ratios: dict[str, float] = {}
    for name, value in fresh.items():
        if name == "params" or name.startswith("initial_"):
            continue
        begin = f"initial_{name}"
        if begin in saved and begin in fresh:
            ratios[name] = fresh[begin] / saved[begin] if saved[begin] else 1.0
            saved[begin] = fresh[begin]
            value = saved[name] * ratios[name]
        saved[name] = value
    return ratios


def _scale(scheduler: dict[str, Any], ratios: Sequence[float]) -> None:
    """Scale what a scheduler remembers of the values that it makes."""
    for name in ("base_values", "_last_value"):
        if name in scheduler:
            scheduler[name] = [a * b for a, b in zip(scheduler[name], ratios, strict=True)]
