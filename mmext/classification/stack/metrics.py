"""How often the right class is among the first k, and whether scores are as sure as they are right.

Both metrics keep of each picture what they need of it, take samples of any class, and give
percentages.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmext.registry import METRICS

logger = logging.getLogger("mmext")

MANY_CLASSES, MANY_PICTURES = 100, 500
SURE, TIMES_CHANCE = 0.3, 5
"""A net that gives its first class such a score, and is right no more often than so many times
chance, has learnt something else than the labels say."""


def ranks_of(scores: Float[Tensor, "N K"], labels: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
    """How many classes stand before the right one; of equal scores the first class stands first.

    Example:
        >>> scores = torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])
        >>> ranks_of(scores, torch.tensor([2, 1])).tolist()
        [1, 1]
    """
    own = scores.gather(1, labels[:, None])
    before = torch.arange(scores.shape[1], device=scores.device) < labels[:, None]
    return ((scores > own) | ((scores == own) & before)).sum(1)


def expected_calibration_error(
    confidence: Float[Tensor, " N"], right: Bool[Tensor, " N"], bins: int = 15
) -> Float[Tensor, ""]:
    """The mean gap between how sure and how right, over bins of equal width, closed above.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599, Eq. 3.

    Example:
        >>> gap = expected_calibration_error(torch.tensor([0.9, 0.9]), torch.tensor([True, False]))
        >>> round(float(gap), 4)
        0.4
    """
    index = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    gap = torch.zeros(bins, dtype=torch.float64, device=confidence.device)
    gap.index_add_(0, index, confidence.double() - right.double())
    return gap.abs().sum().float() / max(len(confidence), 1)


def label_of(sample: Mapping[str, Any]) -> int:
    """The one label of a sample as the evaluator hands it over."""
    label = torch.as_tensor(sample["gt_label"]).reshape(-1)
    if label.numel() != 1:
        raise ValueError(
            f"expected one gt_label a picture, got {label.numel()}; use a metric for several labels"
        )
    return int(label)


def score_of(sample: Mapping[str, Any]) -> Float[Tensor, " K"]:
    """The scores of a sample as the evaluator hands it over, in float32 on the CPU."""
    return torch.as_tensor(sample["pred_score"]).detach().float().cpu().reshape(-1)


@METRICS.register_module()
class TopKAccuracy(BaseMetric):
    """The share of pictures, in percent, whose class is among the k best.

    Args:
        topk: one k or several; those above the number of classes are left out.
        **metric_cfg: mmengine's: ``collect_device``, ``prefix``, ``collect_dir``.
    """

    default_prefix = "accuracy"

    def __init__(self, topk: int | Sequence[int] = (1, 5), **metric_cfg: Any) -> None:
        super().__init__(**metric_cfg)
        self.topk = (topk,) if isinstance(topk, int) else tuple(topk)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep rank, highest score and number of classes of each picture."""
        scores = torch.stack([score_of(sample) for sample in data_samples])
        labels = torch.tensor([label_of(sample) for sample in data_samples])
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < scores.shape[1]:
            raise ValueError(
                f"{type(self).__name__}: expected labels from 0 to {scores.shape[1] - 1}, the "
                f"classes of the model, got {int(labels.min())} to {int(labels.max())}; set "
                "num_classes of the head to the number of classes of the data"
            )
        kept = zip(ranks_of(scores, labels).tolist(), scores.amax(1).tolist(), strict=True)
        self.results += [(rank, best, scores.shape[1]) for rank, best in kept]

    def compute_metrics(self, results: list[tuple[int, float, int]]) -> dict[str, float]:
        """``top1``, ``top5`` and so on."""
        ranks = torch.tensor([rank for rank, _, _ in results])
        classes = results[0][2] if results else 0
        ks = [k for k in self.topk if k <= classes] or [1]
        found = {f"top{k}": 100 * (ranks < k).float().mean().item() for k in ks}
        sure = sum(best for _, best, _ in results) / max(len(results), 1)
        right = (ranks < 1).float().mean().item()
        if (
            classes >= MANY_CLASSES
            and len(results) >= MANY_PICTURES
            and sure > SURE
            and right < TIMES_CHANCE / classes
        ):
            logger.warning(
                "top-1 is %.2f %%, near chance of %d classes, with a mean score of %.2f: labels "
                "and model seem to count classes in different orders; ImageNet's devkit has an "
                "order of its own, models have that of sorted synsets",
                100 * right,
                classes,
                sure,
            )
        return found


@METRICS.register_module()
class CalibrationMetric(BaseMetric):
    """``nll``, the mean negative log-likelihood, and ``ece``, the calibration error in percent.

    Args:
        bins: of the calibration error, equally wide.
        **metric_cfg: mmengine's: ``collect_device``, ``prefix``, ``collect_dir``.
    """

    default_prefix = "calibration"

    def __init__(self, bins: int = 15, **metric_cfg: Any) -> None:
        super().__init__(**metric_cfg)
        self.bins = bins

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep of each picture the scores of the right class and of the first."""
        for sample in data_samples:
            score, label = score_of(sample), label_of(sample)
            if abs(float(score.sum()) - 1) > 1e-2:
                raise ValueError(
                    f"CalibrationMetric: expected pred_score that sum up to 1, got "
                    f"{float(score.sum()):.3f}; use it with a softmax, or leave it out"
                )
            best, index = score.max(0)
            self.results.append((float(score[label]), float(best), int(index) == label))

    def compute_metrics(self, results: list[tuple[float, float, bool]]) -> dict[str, float]:
        """``nll`` in nats and ``ece`` in percent."""
        own, best, right = (torch.tensor(one) for one in zip(*results, strict=True))
        least = torch.finfo(torch.float32).tiny  # a score of 0 would make all others worthless
        ece = expected_calibration_error(best, right, self.bins)
        return {"nll": -own.clamp_min(least).log().mean().item(), "ece": 100 * ece.item()}
