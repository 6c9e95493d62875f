"""What the matrix has learnt, in the log and as JSON: a report of confused classes, or of noise."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import Tensor

from mmext.classification.residual_labels.losses import ResidualLabelLoss
from mmext.classification.residual_labels.residual import residual_labels
from mmext.registry import HOOKS

READING = {
    "all": "from all samples: what pictures of the class are confused with",
    "error": "from errors: classes whose pictures bear this label",
}


def strongest(
    matrix: Tensor, classes: Sequence[str], topk: int = 5
) -> dict[str, list[tuple[str, float]]]:
    """Of each class the others to which its residual label gives most, and how much.

    Example:
        >>> matrix = torch.tensor([[0.0, 0, 0], [0, 0, 9], [0, 0, 0]])
        >>> strongest(matrix, ["cat", "dog", "fox"], topk=1)["dog"]
        [('fox', 1.0)]
    """
    shares, others = residual_labels(matrix.detach()).topk(min(topk, len(matrix) - 1), 1)
    return {
        name: [(classes[k], round(share, 3)) for share, k in zip(row, at, strict=True)]
        for name, row, at in zip(classes, shares.tolist(), others.tolist(), strict=True)
    }


@HOOKS.register_module()
class ConfusionReportHook(Hook):
    """After training, write what each residual label says: to the log, and as JSON beside it.

    Args:
        topk: other classes that are named for each class.
        file_name: of the JSON.
    """

    priority = "VERY_LOW"

    def __init__(self, topk: int = 5, file_name: str = "residual_labels.json") -> None:
        self.topk = topk
        self.file_name = file_name

    @master_only
    def after_train(self, runner: Any) -> None:
        """Write the report."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        found = {
            name: loss
            for name, loss in model.named_modules()
            if isinstance(loss, ResidualLabelLoss)
        }
        if not found:
            raise ValueError(
                "ConfusionReportHook needs a mmext.ResidualLabelLoss in the model, got none; add "
                "the loss, or leave the hook out"
            )
        classes = runner.train_dataloader.dataset.metainfo.get("classes") or ()
        report = {name: self._report(loss, classes) for name, loss in found.items()}
        for name, one in report.items():
            lines = [
                f"{label}: " + ", ".join(f"{other} {share:.3f}" for other, share in row)
                for label, row in one["classes"].items()
            ]
            runner.logger.info("\n".join([f"Residual labels of {name}, {one['reading']}", *lines]))
        text = json.dumps(report, indent=1, ensure_ascii=False)
        Path(runner.log_dir, self.file_name).write_text(f"{text}\n", encoding="utf-8")

    def _report(self, loss: ResidualLabelLoss, classes: Sequence[str]) -> dict[str, Any]:
        # A box head has one class more than its data set: background.
        rest = [f"class {k}" for k in range(len(classes), loss.num_classes)]
        if classes and len(rest) == 1:
            rest = ["background"]
        names = [*map(str, classes), *rest][: loss.num_classes]
        with torch.no_grad():
            matrix = loss.residual_matrix.float().cpu()
        return dict(
            update_on=loss.update_on,
            reading=READING[loss.update_on],
            classes=strongest(matrix, names, self.topk),
        )
