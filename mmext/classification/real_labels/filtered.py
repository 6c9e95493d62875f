"""A data set without the samples whose labels are not to be trusted."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmext.classification.stack.noise import DatasetWrapper, key_of
from mmext.data_checks.lists import read_lines
from mmext.errors import BadInputError, did_you_mean, some
from mmext.registry import DATASETS


@DATASETS.register_module()
class FilteredDataset(DatasetWrapper):
    """The samples of another data set that a list names, in the data set's order.

    A sample's name is its ``key`` in our data sets, the path of a picture below its folder or its
    number in a file, and its ``img_path`` elsewhere; names without a folder are compared with the
    last part alone.

    Args:
        dataset: config of the inner data set.
        keep: a text file with a name a line, as ``tools/clean_labels.py`` writes it, or the names.
        allow_missing: whether the list may name samples that the data set does not have.
    """

    def __init__(
        self, dataset: Any, keep: str | Path | Iterable[str], allow_missing: bool = False
    ) -> None:
        super().__init__(dataset)
        where = str(keep) if isinstance(keep, str | Path) else "keep"
        names = _read(keep) if isinstance(keep, str | Path) else [str(one) for one in keep]
        found = [key_of(self.dataset.get_data_info(i)) for i in range(len(self.dataset))]
        if not any("/" in one for one in names):
            found = [one.rpartition("/")[2] for one in found]
        wanted = set(names)
        self.places = [place for place, one in enumerate(found) if one in wanted]
        missing = sorted(wanted.difference(found))
        if (missing and not allow_missing) or not self.places:
            hint = did_you_mean(missing[0], found[:5000]) if missing else ""
            raise BadInputError(
                f"{where}: expected names of samples such as {found[0] if found else 'none'}, got "
                f"{some(missing)}{hint}; take the list that was made of this data set, or set "
                "allow_missing=True"
            )

    def __len__(self) -> int:
        return len(self.places)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """What is known of a sample that is kept; ``sample_idx`` counts these."""
        place = range(len(self.places))[idx]
        return {**super().get_data_info(self.places[idx]), "sample_idx": place}


def _read(file: str | Path) -> list[str]:
    """The names in a list.

    Raises:
        BadInputError: it is missing, or has no name.
    """
    if not Path(file).is_file():
        raise BadInputError(
            f"{file}: not found, expected a list of samples to keep; make it with "
            "tools/clean_labels.py, or correct the path"
        )
    names = [line.strip() for line in read_lines(str(file)) if line.strip()]
    if not names:
        raise BadInputError(f"{file}: expected a name a line, got an empty list; make it again")
    return names
