"""The bank of pseudo-labels: one JSON file a round, in pixels of the original pictures.

Its head says which pictures and which settings it belongs to, so that a run never goes on from
another one's labels. A file is there whole, or not at all.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from mmext.errors import BadInputError

FORMAT = "mmext TS3 pseudo-labels 1"
FILE = "pseudo.json"


@dataclass(frozen=True)
class Head:
    """What a bank belongs to.

    Args:
        round: number of the round, from 1.
        split: digest of the labelled and unlabelled pictures.
        config: digest of the settings that labels depend on.
    """

    round: int
    split: str
    config: str


@dataclass(frozen=True)
class Bank:
    """The labels that both students gave the unlabelled pictures, and what they are worth.

    Args:
        names: of the pictures, in the order of their data set.
        points: of the students, in pixels of the original pictures; on disk as float32.
        peaks: heights of the maps.
        teacher: what it says of each label.
        agreement: minus the students' mean distance, in sides of the input.
        score: the mix, from 0 to 1.
        accepted: which labels are trained on.
        weights: of each point of each student's label, 0 where the label is not accepted.
        fallback: whether the score is agreement alone, since the teacher told nothing apart.
    """

    names: list[str]
    points: Float32[np.ndarray, "N 2 K 2"]
    peaks: Float32[np.ndarray, "N 2 K"]
    teacher: Float32[np.ndarray, "N 2"]
    agreement: Float32[np.ndarray, "N 2"]
    score: Float32[np.ndarray, "N 2"]
    accepted: Bool[np.ndarray, "N 2"]
    weights: Float32[np.ndarray, "N 2 K"]
    fallback: bool = field(default=False)

    def __len__(self) -> int:
        return len(self.names)


def digest(value: Any) -> str:
    """Sixteen letters that stand for a value of plain lists, dicts, numbers and texts."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def short_names(paths: Sequence[str]) -> list[str]:
    """The last two parts of each path: a data set may lie elsewhere when a run goes on.

    Example:
        >>> short_names(["/data/mouse/frames/1.png", "1.png"])
        ['frames/1.png', '1.png']
    """
    return ["/".join(Path(path).parts[-2:]) for path in paths]


def write(path: str | Path, bank: Bank, head: Head) -> None:
    """Write a bank, whole or not at all.

    Args:
        path: of the file; its folder is made.
        bank: the labels.
        head: what they belong to.
    """
    arrays = {
        name: _plain(value) for name, value in vars(bank).items() if isinstance(value, np.ndarray)
    }
    rows = [
        dict(name=name, **{key: values[row] for key, values in arrays.items()})
        for row, name in enumerate(bank.names)
    ]
    found = dict(format=FORMAT, **asdict(head), fallback=bank.fallback, labels=rows)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(found))
    draft.replace(path)


def read(path: str | Path, head: Head) -> Bank:
    """Read a bank.

    Args:
        path: of the file.
        head: what its labels must belong to.

    Raises:
        BadInputError: there is none, or it is of another round, split or config.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInputError(
            f"{path}: expected the pseudo-labels of the round which is resumed, found no such file;"
            " give the work dir of that run, or start anew"
        )
    try:
        found = json.loads(path.read_text())
        form = found.get("format")
    except (ValueError, AttributeError):
        form = None
    if form != FORMAT:
        raise BadInputError(
            f"{path}: expected {FORMAT!r}, got {form!r}; remove the file and start anew"
        )
    for name, ours in asdict(head).items():
        if found[name] != ours:
            what = dict(split="of these pictures", config="of these settings")
            raise BadInputError(
                f"{path}: expected pseudo-labels {what.get(name, 'of this round')} ({name} {ours})"
                f", got {name} {found[name]}; resume with the data and the config of that run, or "
                "take another work dir"
            )
    return _bank_of(found)


def _bank_of(found: dict[str, Any]) -> Bank:
    rows = found["labels"]

    def array(name: str, kind: type = np.float32) -> np.ndarray:
        # null, which JSON has in place of NaN, becomes NaN again
        return np.array([row[name] for row in rows], dtype=kind)

    floats = ("points", "peaks", "teacher", "agreement", "score", "weights")
    return Bank(
        names=[row["name"] for row in rows],
        accepted=array("accepted", bool),
        fallback=found["fallback"],
        **{name: array(name) for name in floats},
    )


def _plain(values: np.ndarray) -> Any:
    """Lists of numbers; nine digits hold a float32 exactly, and NaN becomes null."""
    if values.dtype == bool:
        return values.tolist()

    def one(value: Any) -> Any:
        if isinstance(value, list):
            return [one(part) for part in value]
        return float(f"{value:.9g}") if np.isfinite(value) else None

    return one(values.tolist())
