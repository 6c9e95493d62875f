"""Who labelled a picture: the mark on its sample, and a batch taken apart by it."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.transforms import BaseTransform
from torch import Tensor

from mmext.errors import did_you_mean
from mmext.registry import TRANSFORMS

SOURCES = ("human", "pseudo")

Rows = slice | list[int]


@TRANSFORMS.register_module()
class MarkSource(BaseTransform):
    """Notes on a packed sample who labelled it. Samples without a note count as ``human``.

    It comes last, after the host's own packing, so no list of ``meta_keys`` has to know it.

    Args:
        source: ``human`` or ``pseudo``.
    """

    def __init__(self, source: str) -> None:
        _check(source)
        self.source = source

    def transform(self, results: dict) -> dict:
        """Mark the sample.

        Raises:
            ValueError: there is no sample yet.
        """
        if "data_samples" not in results:
            raise ValueError(
                f"MarkSource expected packed results with data_samples, got {', '.join(results)}; "
                "make it the last step of the pipeline, after PackDetInputs, PackSegInputs or the "
                "like"
            )
        results["data_samples"].set_metainfo({"source": self.source})
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(source={self.source!r})"


def rows_by_source(data_samples: Sequence[Any]) -> dict[str, Rows]:
    """Which samples of a batch each source has, human first; a source without any is left out.

    Rows that follow each other are a slice, which takes a view of a batch where a list copies.
    """
    sources = [getattr(sample, "metainfo", {}).get("source", SOURCES[0]) for sample in data_samples]
    found = {one: [row for row, own in enumerate(sources) if own == one] for one in SOURCES}
    if sum(map(len, found.values())) < len(sources):
        for one in sources:
            _check(one)
    return {
        one: slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
        for one, rows in found.items()
        if rows
    }


def taken(inputs: Any, rows: Rows) -> Any:
    """Some pictures of a preprocessed batch: of a tensor, a list, or a dict of these."""
    if isinstance(inputs, Tensor):
        return inputs[rows]
    if isinstance(inputs, Mapping):
        return {key: taken(value, rows) for key, value in inputs.items()}
    if isinstance(inputs, Sequence):
        return inputs[rows] if isinstance(rows, slice) else [inputs[row] for row in rows]
    raise TypeError(
        f"expected inputs as a tensor, a list or a dict of these, got {type(inputs).__name__}; "
        "SelfTrainingWrapper cannot take such a batch apart"
    )


def _check(source: Any) -> None:
    if source not in SOURCES:
        raise ValueError(
            f"source: expected {' or '.join(SOURCES)}, got {source!r}"
            f"{did_you_mean(str(source), SOURCES)}; correct it"
        )
