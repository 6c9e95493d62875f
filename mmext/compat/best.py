"""``save_best="auto"``: the metric that a task is judged by, and no end of the run if none ranks.

mmengine takes whichever metric comes first: in segmentation the pixel accuracy, with ``classwise``
the first class. A name that it does not know which way round to rank ends the run at the first
validation.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

from mmext.compat.repair import Wrapping, logger

HEADLINES = (
    (r"mIoU|bbox_mAP|segm_mAP|mAP|mAP/overall|PQ|HOTA|MOTA", "greater"),
    (r"top1|top1_acc|acc|accuracy(/top1)?", "greater"),
    (r"mDice|mFscore|AP|PCK|AUC|auc|f1(-score)?", "greater"),
    (r"NME|EPE|MAE|MSE|RMSE|abs_?rel|mMR", "less"),
    (r"AR@\d+|mAcc|aAcc|mean1|acc_mean1", "greater"),
)
"""Metrics' names without prefix, those that papers report first, and which way is better."""


class SaveBestAuto(Wrapping):
    """``auto`` chooses among all metrics of a validation, and says what it chose.

    No release of mmengine looks at more than the first name.
    """

    name = "save_best_auto"
    why = (
        'save_best="auto" takes the first metric, or ends the run where it cannot tell which way '
        "is better"
    )
    after = ("mmengine.hooks.checkpoint_hook",)

    def apply(self) -> None:
        """Choose before the hook does."""
        from mmengine.hooks.checkpoint_hook import CheckpointHook

        self.wrap(CheckpointHook, "_save_best_checkpoint", choose_first)


def choose_first(plain: Callable) -> Callable:
    """The hook's method that finds ``auto`` replaced by a metric and its rule."""

    @functools.wraps(plain)
    def save_best(hook: Any, runner: Any, metrics: Mapping[str, Any]) -> Any:
        if not hasattr(hook, "file_backend"):  # a validation by itself: nothing has been trained
            return None
        if hook.save_best and "auto" in hook.key_indicators:
            found = headline(metrics, hook.greater_keys, hook.less_keys)
            if found is None:
                _say(
                    'save_best="auto" expected a metric that it can rank, got '
                    f"{', '.join(metrics)}; name one"
                )
                return None
            name, rule = found
            hook._init_rule([hook.rules[0] or rule], [name])
            runner.logger.info(
                f'save_best="auto": the best checkpoint is the one of the best {name}'
            )
        return plain(hook, runner, metrics)

    return save_best


def headline(
    metrics: Mapping[str, Any], greater: Iterable[str] = (), less: Iterable[str] = ()
) -> tuple[str, str] | None:
    """The metric that ranks checkpoints, and ``greater`` or ``less``; None if there is none.

    Args:
        metrics: all of a validation; those without a value are passed over.
        greater: parts of names whose larger values are better, beyond those known here.
        less: the same for smaller values.

    Example:
        >>> headline({"aAcc": 90.0, "mIoU": 40.0})
        ('mIoU', 'greater')
        >>> headline({"coco/tree_precision": 0.5, "coco/bbox_mAP": 0.4})
        ('coco/bbox_mAP', 'greater')
    """
    names = [name for name, value in metrics.items() if isinstance(value, Real)]
    for pattern, rule in HEADLINES:
        for name in names:
            if any(
                re.fullmatch(pattern, one, re.IGNORECASE) for one in (name, name.partition("/")[2])
            ):
                return name, rule
    for name in names:
        for parts, rule in ((greater, "greater"), (less, "less")):
            if any(part.lower() in name.lower() for part in parts):
                return name, rule
    return None


@functools.cache
def _say(message: str) -> None:
    logger.warning(message)
