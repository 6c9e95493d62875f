"""A data set with some of its labels wrong on purpose, and what wrappers of data sets share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Integer

from mmext.registry import DATASETS

KINDS = ("uniform", "pair")


class DatasetWrapper:
    """Another data set seen through ``get_data_info``, with its own pipeline.

    Args:
        dataset: config of the inner data set, or the data set.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.full_init()

    def full_init(self) -> None:
        """Let the inner data set read its files."""
        self.dataset.full_init()

    @property
    def metainfo(self) -> dict[str, Any]:
        """Of the inner data set."""
        return self.dataset.metainfo

    @property
    def pipeline(self) -> Any:
        """Of the inner data set."""
        return self.dataset.pipeline

    def __len__(self) -> int:
        return len(self.dataset)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """What is known of a sample before the pipeline."""
        return self.dataset.get_data_info(idx)

    def __getitem__(self, idx: int) -> Any:
        return self.pipeline(self.get_data_info(idx))


def key_of(info: dict[str, Any]) -> str:
    """The name of a sample in lists of samples: its key, else the path of its picture."""
    return str(info["key"] if "key" in info else info["img_path"])


def noisy_labels(
    labels: Sequence[int] | Integer[np.ndarray, " N"],
    classes: int,
    *,
    rate: float,
    kind: str = "uniform",
    seed: int = 0,
) -> Integer[np.ndarray, " N"]:
    """Labels of which a share is wrong; equal arguments give equal labels.

    Args:
        labels: the true ones.
        classes: how many there are.
        rate: the share of wrong ones: exactly that of ``uniform``, each with that probability in
            ``pair``.
        kind: ``uniform`` replaces a label by any other class, ``pair`` k by k + 1.
        seed: which ones.

    Example:
        >>> noisy_labels([0, 1, 2], 3, rate=1.0, kind="pair").tolist()
        [1, 2, 0]
    """
    if kind not in KINDS or not 0 <= rate <= 1:
        raise ValueError(
            f"expected a rate from 0 to 1 and kind of {KINDS}, got {rate} and {kind!r}; change them"
        )
    rng = np.random.default_rng(seed)
    true = np.asarray(labels, dtype=np.int64)
    if kind == "pair":
        return np.where(rng.random(len(true)) < rate, (true + 1) % classes, true)
    chosen = rng.permutation(len(true))[: round(rate * len(true))]
    noisy = true.copy()
    noisy[chosen] = (true[chosen] + rng.integers(1, classes, len(chosen))) % classes
    return noisy


@DATASETS.register_module()
class NoisyLabels(DatasetWrapper):
    """A data set with wrong labels among its own, for studies; ``true_label`` keeps the true ones.

    Args:
        dataset: config of the inner data set; its metainfo has the classes.
        rate: the share of wrong labels.
        kind: ``uniform`` replaces a label by any other class, ``pair`` k by k + 1.
        seed: which ones.
    """

    def __init__(self, dataset: Any, rate: float, kind: str = "uniform", seed: int = 0) -> None:
        super().__init__(dataset)
        true = [self.dataset.get_data_info(i)["gt_label"] for i in range(len(self.dataset))]
        classes = self.metainfo.get("classes") or range(max(true) + 1)
        self.labels = noisy_labels(true, len(classes), rate=rate, kind=kind, seed=seed)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """A sample with the label that it has here."""
        info = super().get_data_info(idx)
        return {**info, "true_label": info["gt_label"], "gt_label": int(self.labels[idx])}
