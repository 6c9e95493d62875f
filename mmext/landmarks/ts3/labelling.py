"""How the unlabelled pictures get their labels in a round: on all ranks, and the same on each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from mmengine import dist
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from torch.utils.data import DataLoader, Subset

from mmext.landmarks.geometry import moved_back
from mmext.landmarks.samples import matrices
from mmext.landmarks.ts3 import scores
from mmext.landmarks.ts3.bank import Bank
from mmext.landmarks.ts3.model import TS3

FILTERS = ("soft", "hard")


@dataclass(frozen=True)
class Labelling:
    """Which labels are trained on, and with what weights.

    Args:
        filter: ``soft`` weights each point by the students' distance, its peak and the label's
            score; ``hard`` is the paper's choice of whole faces, each point of weight 1.
        reach: d0 of the soft weights, in sides of the input.
        step: share of the faces that ``hard`` lets pass more in each round.
        score_mix: signals whose ranks are the score.
    """

    filter: str = "soft"
    reach: float = 0.03
    step: float = 0.2
    score_mix: tuple[str, ...] = scores.SIGNALS

    def __post_init__(self) -> None:
        if self.filter not in FILTERS:
            raise ValueError(
                f"filter must be one of {FILTERS}, got {self.filter!r}; give one of these"
            )
        if not self.reach > 0 or not 0 < self.step <= 1:
            raise ValueError(
                f"reach must be above 0 and step in (0, 1], got {self.reach} and {self.step}; "
                "change them"
            )

    def bank(self, names: list[str], found: "Predicted", number: int) -> Bank:
        """Scores, choice and weights of the labels of a round.

        Args:
            names: of the pictures.
            found: their labels.
            number: of the round, from 1.
        """
        apart, peaks, quality = map(torch.from_numpy, (found.apart, found.peaks, found.quality))
        signals = scores.signals_of(quality, apart, peaks)
        used = {name: signals[name] for name in self.score_mix}
        fallback = "teacher" in used and not scores.tells_apart(quality)
        if fallback:
            print_log(
                "TS3: expected a teacher that tells labels apart, got the same score for all, or "
                "NaN; this round is scored by the students' agreement. Lower the teacher's "
                "learning rate if this stays so",
                logger="current",
                level=30,
            )
            used = dict(agreement=signals["agreement"])
        score = scores.mixed(used)
        weights = torch.ones_like(peaks)
        accepted = torch.ones_like(score, dtype=torch.bool)
        if self.filter == "hard":
            accepted = scores.best(score, scores.share_of_round(number, self.step))
            weights = weights * accepted[..., None]
        else:
            weights = scores.point_weights(apart, peaks, reach=self.reach) * score[..., None]
        return Bank(
            names=names,
            points=found.points,
            peaks=found.peaks,
            teacher=found.quality,
            agreement=signals["agreement"].contiguous().numpy(),
            score=score.numpy(),
            accepted=accepted.numpy(),
            weights=weights.numpy(),
            fallback=fallback,
        )


@dataclass(frozen=True)
class Predicted:
    """Labels of all unlabelled pictures, in the order of their data set.

    Args:
        points: in pixels of the original pictures.
        peaks: heights of the maps.
        quality: what the teacher says of each label.
        apart: the students' distance at each point, in sides of the input.
        error: mean over visible points of the hidden truth, in sides of the input; NaN where there
            is none.
    """

    points: Float32[np.ndarray, "N 2 K 2"]
    peaks: Float32[np.ndarray, "N 2 K"]
    quality: Float32[np.ndarray, "N 2"]
    apart: Float32[np.ndarray, "N K"]
    error: Float64[np.ndarray, "N 2"]


@torch.no_grad()
def predicted(
    model: TS3,
    dataset: Any,
    *,
    batch_size: int = 8,
    num_workers: int = 0,
    collate: Callable[[Sequence[Any]], Any] = pseudo_collate,
) -> Predicted:
    """Label a data set; each rank works on its share and gets the labels of all.

    Args:
        model: in whatever mode; it is left so.
        dataset: with a pipeline without chance.
        batch_size: of a rank.
        num_workers: of a rank.
        collate: makes batches.
    """
    rank, world = dist.get_rank(), dist.get_world_size()
    mine = list(range(rank, len(dataset), world))
    loader: Any = DataLoader(
        Subset(dataset, mine), batch_size, num_workers=num_workers, collate_fn=collate
    )
    training = model.training
    model.eval()
    parts = [_labels_of(model, batch) for batch in loader]
    model.train(training)
    here = {
        row: tuple(values[number] for values in part)
        for part, rows in zip(parts, _chunks(mine, batch_size), strict=True)
        for number, row in enumerate(rows)
    }
    everywhere: dict[int, Any] = {}
    for one in dist.all_gather_object(here):
        everywhere |= one
    columns = zip(*(everywhere[row] for row in range(len(dataset))), strict=True)
    return Predicted(*(np.stack(column) for column in columns))


def _chunks(rows: list[int], size: int) -> list[list[int]]:
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def _labels_of(model: TS3, batch: Any) -> tuple[np.ndarray, ...]:
    """The columns of :class:`Predicted`, of a batch."""
    data = model.data_preprocessor(batch, False)
    inputs, samples = data["inputs"], data["data_samples"]
    found = model.judged(inputs)
    points = found["points"].float()
    side = float(max(inputs.shape[-2:]))
    to_crop = matrices(samples, points.device)
    B, S, K, _ = points.shape
    original = moved_back(points.reshape(B, S * K, 2).double(), to_crop).reshape(B, S, K, 2)
    columns = dict(
        points=original.float(),
        peaks=found["peaks"].float(),
        quality=found["quality"].float(),
        apart=scores.distances(points, side),
    )
    arrays = [one.cpu().numpy() for one in columns.values()]
    return (*arrays, _hidden_errors(arrays[0], samples, side))


def _hidden_errors(points: np.ndarray, samples: Sequence[Any], side: float) -> np.ndarray:
    """Errors against labels that training does not see, in sides of the input."""
    found = np.full(points.shape[:2], np.nan)
    for row, sample in enumerate(samples):
        truth, visible = sample.get("keypoints"), sample.get("keypoints_visible")
        if truth is None or visible is None or not np.any(np.asarray(visible) > 0):
            continue
        seen = np.asarray(visible) > 0
        # the crop's pixels in one of the picture's: areas scale with the determinant
        scale = np.sqrt(abs(np.linalg.det(np.asarray(sample.crop_matrix)[:, :2])))
        apart = np.linalg.norm(points[row] - np.asarray(truth), axis=-1)[:, seen]
        found[row] = apart.mean(-1) * scale / side
    return found
