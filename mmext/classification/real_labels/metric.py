"""ReaL accuracy: the share of pictures whose first answer is a label that people accept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmext.classification.real_labels.labels import (
    accepted,
    first_classes,
    number_of,
    padded,
    read_scores,
)
from mmext.data_checks.label_lists import read_labels
from mmext.errors import BadInputError
from mmext.registry import METRICS

Result = tuple[int, int, tuple[int, ...]]
"""Number of the picture, its original label (-1 for none), and the first answers."""


def real_accuracy(
    numbers: Int[Tensor, " N"],
    answers: Int[Tensor, "N k"],
    original: Int[Tensor, " N"],
    labels: Int[Tensor, "M L"],
    topk: Sequence[int],
) -> dict[str, int | float]:
    """All that the metric reports, in percent where it is a share.

    Args:
        numbers: of the pictures, each once.
        answers: their first classes, the best first.
        original: their original labels, -1 for none.
        labels: of all pictures by their number, filled up with -1; one without any is skipped.
        topk: which k to report.
    """
    own = labels[numbers]
    counts = (own >= 0).any(1)
    right = accepted(answers, own)[counts]
    found = {f"top{k}": share(right[:, :k].any(1)) for k in topk}
    found |= {"n": int(counts.sum()), "skipped": int((~counts).sum())}
    known = original >= 0
    if known.any():
        wrong = (answers[:, 0] != original) & known
        found["original_top1"] = share(~wrong[known])
        found["forgiven"] = share(right[wrong[counts], 0])
    return found


def share(right: Tensor) -> float:
    """Percentage that is true; 0 of none."""
    return 100 * right.double().mean().item() if len(right) else 0.0


@METRICS.register_module()
class ReaLAccuracy(BaseMetric):
    """Accuracy by several labels a picture, of any subset in any order, over any number of ranks.

    Reports ``real/top1`` and so on, ``real/n`` and ``real/skipped``, the pictures with and without
    a label, ``original/top1`` over all, and ``real/forgiven``, the share of errors by the original
    label that is none by these.

    Args:
        labels: a JSON file with a list of labels for each picture, or these lists.
        topk: one k or several.
        by: ``filename``, the eight digits of the picture's name, or ``index``, its place in the
            data set.
        scores: the authors' ``scores.npz``, to choose another threshold than theirs.
        score_thr: least score of a label in ``scores``; the authors' is 0.8.
        on_missing: what to do with a picture that has no list: ``error`` or ``skip``.
        class_indices: for a model of other classes, the label of each of them.
        num_classes: how many classes the labels are of.
        **metric_cfg: mmengine's: ``collect_device``, ``prefix``, ``collect_dir``.
    """

    default_prefix = "real"

    def __init__(
        self,
        labels: str | Path | Sequence[Sequence[int]],
        topk: int | Sequence[int] = (1, 5),
        by: str = "filename",
        scores: str | Path | None = None,
        score_thr: float | None = None,
        on_missing: str = "error",
        class_indices: Sequence[int] | None = None,
        num_classes: int = 1000,
        **metric_cfg: Any,
    ) -> None:
        super().__init__(**metric_cfg)
        for name, value, known in (
            ("by", by, ("filename", "index")),
            ("on_missing", on_missing, ("error", "skip")),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {known}, got {value!r}; change it")
        if (scores is None) != (score_thr is None):
            raise ValueError(
                "expected scores and score_thr together, got one of them; give the file and a "
                "threshold such as 0.8, or neither"
            )
        lists = read_labels(labels, num_classes)
        if scores is not None and score_thr is not None:
            lists = read_scores(lists, scores, score_thr)
        self.labels = padded(lists)
        self.topk = (topk,) if isinstance(topk, int) else tuple(topk)
        self.by, self.on_missing, self.num_classes = by, on_missing, num_classes
        self.classes = None if class_indices is None else torch.tensor(class_indices)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep number, original label and first answers of each picture."""
        scores = torch.stack(
            [torch.as_tensor(one["pred_score"]).detach().reshape(-1) for one in data_samples]
        )
        self.refuse_classes(scores.shape[1])
        answers = first_classes(scores.float().cpu(), max(self.topk))
        if self.classes is not None:
            answers = self.classes[answers]
        for sample, first in zip(data_samples, answers.tolist(), strict=True):
            number = self.find(sample)
            if number is not None:
                original = self.original(sample)
                self.results.append((number, original, tuple(first)))

    def refuse_classes(self, classes: int) -> None:
        """Refuse a model whose classes are not those of the labels."""
        expected = self.num_classes if self.classes is None else len(self.classes)
        if classes != expected:
            raise ValueError(
                f"ReaLAccuracy: expected scores of {expected} classes, got {classes}; give "
                "class_indices, the label of each class of the model"
            )

    def find(self, sample: Mapping[str, Any]) -> int | None:
        """The number of a picture; None if it is left out."""
        key = "sample_idx" if self.by == "index" else "img_path"
        if key not in sample:
            raise ValueError(
                f"ReaLAccuracy: expected {key} in each sample for by={self.by!r}, got "
                f"{sorted(sample)}; add it to meta_keys of the packing transform"
            )
        number = int(sample[key]) if self.by == "index" else number_of(str(sample[key]))
        if number is not None and 0 <= number < len(self.labels):
            return number
        if self.on_missing == "skip":
            return None
        what = "no eight digits" if number is None else f"number {number}"
        raise BadInputError(
            f"{sample[key]}: expected one of the {len(self.labels)} pictures that the labels are "
            f"of, got {what}; set by='index' if names do not tell, or on_missing='skip'"
        )

    def original(self, sample: Mapping[str, Any]) -> int:
        """The label that the data set gives, as the labels count classes; -1 for none."""
        if "gt_label" not in sample:
            return -1
        label = int(torch.as_tensor(sample["gt_label"]).reshape(-1)[0])
        return label if self.classes is None or label < 0 else int(self.classes[label])

    def compute_metrics(self, results: list[Result]) -> dict[str, int | float]:
        """Each picture once, though samplers repeat some to make ranks equal."""
        once = {number: (original, first) for number, original, first in results}
        if not once:
            return {"n": 0, "skipped": 0}
        return real_accuracy(
            torch.tensor(list(once)),
            torch.tensor([first for _, first in once.values()]),
            torch.tensor([original for original, _ in once.values()]),
            self.labels,
            self.topk,
        )

    def evaluate(self, size: int) -> dict[str, int | float]:
        """Evaluate, and name the original accuracy by what it is."""
        found = super().evaluate(size)
        own = f"{self.prefix}/original_top1"
        if own in found:
            name = "original/top1" if self.prefix == self.default_prefix else own
            found = {name if key == own else key: value for key, value in found.items()}
        return found
