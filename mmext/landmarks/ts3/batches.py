"""What a round trains on: labelled pictures, pseudo-labelled ones, and batches of both.

Which pictures a batch holds, and how each is cropped and turned, follows from the seed, the round
and the number of the batch alone. So a run that goes on in the middle of a round sees what it would
have seen, whatever the number of workers.
"""

import copy
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from mmext.landmarks.geometry import moved
from mmext.landmarks.ts3.bank import Bank, short_names
from mmext.landmarks.ts3.scores import exchanged

Drawn = tuple[int, int]
"""Number of a picture, and the seed of what its transforms draw."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let random, numpy and torch draw from a seed for a while, and go on as before afterwards.

    Of torch the CPU alone: ``torch.manual_seed`` would seed GPUs too, for good.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  mmcv's transforms draw from it
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


class RoundSampler(Sampler[list[Drawn]]):
    """Batches of this rank: labelled pictures first, then so many pseudo-labelled ones.

    Each kind is shuffled anew whenever all of it was seen; where there are fewer pictures than a
    batch takes, a batch holds some twice.

    Args:
        labelled: number of labelled pictures; the pseudo-labelled ones are numbered behind them.
        pseudo: of the pseudo-labelled ones.
        batch_size: of a rank.
        share: of a batch that is pseudo-labelled, where there are such pictures; at least one
            picture of a batch is labelled.
        key: numbers that the draws follow from, such as a seed and a round.
        first, last: batches, counted from 0 in the round; the last is not made.
        rank, world_size: of the group.
    """

    def __init__(
        self,
        labelled: int,
        pseudo: int,
        batch_size: int,
        share: float,
        key: Sequence[int],
        *,
        first: int,
        last: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        count = min(max(round(batch_size * share), 1), batch_size - 1) if pseudo else 0
        self._kinds = [(0, labelled, 0, batch_size - count), (1, pseudo, labelled, count)]
        self._key = [int(one) for one in key]
        self._first, self._last, self._rank, self._world = first, last, rank, world_size
        self._size = batch_size

    def __len__(self) -> int:
        return self._last - self._first

    def __iter__(self) -> Iterator[list[Drawn]]:
        orders: dict[tuple[int, int], np.ndarray] = {}
        for batch in range(self._first, self._last):
            numbers: list[int] = []
            for kind, total, start, count in self._kinds:
                at = (batch * self._world + self._rank) * count
                for place in range(at, at + count):
                    turn, row = divmod(place, total)
                    if (kind, turn) not in orders:
                        rng = np.random.default_rng([*self._key, kind, turn])
                        orders = {
                            k: v for k, v in orders.items() if k[0] != kind or k[1] == turn - 1
                        }
                        orders[kind, turn] = rng.permutation(total)
                    numbers.append(start + int(orders[kind, turn][row]))
            first = (batch * self._world + self._rank) * self._size
            rng = np.random.default_rng([*self._key, 2, first])
            seeds = rng.integers(0, 2**31, len(numbers)).tolist()
            yield list(zip(numbers, seeds, strict=True))


class RoundDataset(Dataset):
    """The labelled pictures, and behind them those with pseudo-labels.

    A labelled picture is handed out as its data set gives it. A pseudo-labelled one loses what
    labels it had and gets ``student_keypoints`` (2, K, 2), in pixels of its crop, and
    ``student_weights`` (2, K): one row a student.

    Args:
        labelled: data set with labels.
        unlabelled: data set without, ending in the same transforms.
        rows: pictures of the unlabelled one that are trained on.
        points: (N, 2, K, 2) in pixels of the original pictures, after the exchange.
        weights: (N, 2, K).
    """

    def __init__(
        self,
        labelled: Any,
        unlabelled: Any = None,
        rows: Sequence[int] = (),
        points: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        self.labelled, self.unlabelled, self.rows = labelled, unlabelled, list(rows)
        self._points, self._weights = points, weights

    @property
    def metainfo(self) -> Mapping[str, Any]:
        """The labelled data set's."""
        return getattr(self.labelled, "metainfo", {})

    def __len__(self) -> int:
        return len(self.labelled) + len(self.rows)

    def __getitem__(self, drawn: Drawn) -> dict[str, Any]:
        number, seed = drawn
        with seeded(seed):
            if number < len(self.labelled):
                return self.labelled[number]
            row = self.rows[number - len(self.labelled)]
            item = self.unlabelled[row]
        assert self._points is not None
        assert self._weights is not None
        sample = item["data_samples"]
        points, weights = in_crop(self._points[row], self._weights[row], sample)
        sample.student_keypoints = torch.as_tensor(points, dtype=torch.float32)
        sample.student_weights = torch.as_tensor(weights, dtype=torch.float32)
        sample.gt_keypoints = torch.zeros_like(sample.student_keypoints[0])
        sample.gt_visible = torch.zeros_like(sample.student_weights[0])
        sample.set_metainfo(dict(labeled=False))
        return item


def in_crop(points: np.ndarray, weights: np.ndarray, sample: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels (2, K, 2) of a whole picture in pixels of its crop; sides swap if it is mirrored."""
    matrix = np.asarray(sample.crop_matrix, dtype=np.float64)
    found = moved(points.reshape(-1, 2).astype(np.float64), matrix).reshape(points.shape)
    if np.linalg.det(matrix[:, :2]) < 0:
        order = partners(sample.get("flip_pairs"), points.shape[1])
        found, weights = found[:, order], weights[:, order]
    return found, weights


def partners(pairs: Any, count: int) -> np.ndarray:
    """The number of the point on the other side, of each of so many points.

    Example:
        >>> partners([(0, 2)], 3).tolist()
        [2, 1, 0]
    """
    order = np.arange(count)
    for one, other in pairs if pairs is not None else ():
        order[one], order[other] = other, one
    return order


def trained_on(labelled: Any, unlabelled: Any, bank: Bank, exchange: str) -> RoundDataset:
    """What a round trains on.

    Args:
        labelled: data set of the labelled pictures.
        unlabelled: data set of the others, with any pipeline; that of ``labelled`` is taken.
        bank: labels of these.
        exchange: see :func:`~mmext.landmarks.ts3.scores.exchanged`.
    """
    points, weights = exchanged(
        torch.from_numpy(bank.points), torch.from_numpy(bank.weights), exchange
    )
    counts = np.flatnonzero(weights.flatten(1).sum(1).numpy() > 0).tolist()
    # By whole paths: the bank's short names may be those of two pictures in two folders.
    known = {_picture(info) for info in _infos(labelled)}
    # A picture may be in both sets, in one of them without its box: people's labels stay.
    known |= {picture[:2] for picture in known}
    other = [_picture(info) for info in _infos(unlabelled)]
    rows = [row for row in counts if other[row] not in known]
    others = with_pipeline(unlabelled, pipeline_of(labelled))
    return RoundDataset(labelled, others, rows, points.numpy(), weights.numpy())


def inner(dataset: Any) -> list[Any]:
    """The data sets that read files, looking inside wrappers."""
    parts = getattr(dataset, "datasets", None) or (
        [dataset.dataset] if hasattr(dataset, "dataset") else []
    )
    return [one for part in parts for one in inner(part)] if parts else [dataset]


def pipeline_of(dataset: Any) -> Any:
    """The transforms of a data set, or of the first one in a wrapper."""
    return inner(dataset)[0].pipeline


def with_pipeline(dataset: Any, pipeline: Any) -> Any:
    """The same pictures with other transforms; annotations are shared, not copied."""
    changed = copy.copy(dataset)
    if hasattr(dataset, "datasets"):
        changed.datasets = [with_pipeline(one, pipeline) for one in dataset.datasets]
    elif hasattr(dataset, "dataset"):
        changed.dataset = with_pipeline(dataset.dataset, pipeline)
    else:
        changed.pipeline = pipeline
    return changed


def names_of(dataset: Any) -> list[str]:
    """A name for each picture, or for each face in it."""
    return [_name(info) for info in _infos(dataset)]


def _infos(dataset: Any) -> Iterator[Mapping[str, Any]]:
    return (dataset.get_data_info(number) for number in range(len(dataset)))


def _name(info: Mapping[str, Any]) -> str:
    """The end of the picture's path, the number of a frame, and the box if there is one."""
    (path,) = short_names([str(info["img_path"])])
    _, frame, *box = _picture(info)
    ending = "@" + ",".join(f"{x:g}" for x in box) if box else ""
    return path + ("" if frame is None else f"#{frame}") + ending


def _picture(info: Mapping[str, Any]) -> tuple[Any, ...]:
    """The path of a picture, the number of a frame or None, and the box if there is one."""
    box = np.ravel(info.get("bbox", np.nan)).astype(float)
    sides = box.tolist() if np.isfinite(box).all() else []
    return (os.path.realpath(str(info["img_path"])), info.get("frame_idx"), *sides)
