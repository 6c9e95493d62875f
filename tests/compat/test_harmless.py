"""What mmengine and data sets put into a checkpoint is read.

A refusal names what it found and where.
"""

import collections
import datetime
import fractions
import os
import pathlib
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as _  # noqa: F401  makes mmext.compat extend torch's list

from mmext.compat import trust
from mmext.compat.checkpoints import load_weights

NUMBERS = [np.dtype(code) for code in "?bhilqBHILQefdgFDG"]
VALUES = [
    np.arange(6, dtype=np.uint8).reshape(2, 3),  # a palette
    np.asfortranarray(np.ones((2, 3))),
    np.array(["tree", "bush"]),
    np.array([b"a", b"bc"]),
    np.array("2020-01-02", dtype="M8[D]"),
    np.array(3),
    np.array([], dtype=np.int16),
    np.str_("tree"),
    *(np.ones(2, kind) for kind in NUMBERS),
    *(kind.type(1) for kind in NUMBERS),
    np.ones(2, ">f4"),
    ConfigDict(classes=("tree",), palette=[(1, 2, 3)]),
    *(frozenset({1, 2}), {1, 2}, slice(1, 2), range(3), 1j, b"abc", b"", bytearray(b"a")),
    collections.OrderedDict(a=1),
    collections.Counter("aab"),
    datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.timezone.utc),
    datetime.timedelta(3),
    fractions.Fraction(1, 3),
    HistoryBuffer([1, 2], [1, 1]),
]


@pytest.mark.parametrize("zipped", [True, False])
def test_plain_values_are_read(tmp_path: Path, zipped: bool) -> None:
    torch.save(VALUES, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    read = load_weights(tmp_path / "x.pth")
    for saved, found in zip(VALUES, read, strict=True):
        if isinstance(saved, np.ndarray | np.generic):
            np.testing.assert_array_equal(found, saved)
            assert found.dtype == saved.dtype.newbyteorder("=")  # as numpy itself does
            continue
        assert type(found) is type(saved)
        if not isinstance(saved, HistoryBuffer):
            assert found == saved


def test_paths_are_read_on_either_system(tmp_path: Path) -> None:
    torch.save([Path("a/b"), pathlib.PureWindowsPath("a/b")], tmp_path / "x.pth")
    assert list(map(str, load_weights(tmp_path / "x.pth"))) == ["a/b", "a\\b"]


class Palette:
    """Harmless, and nobody can know."""


class Runs:
    def __reduce__(self) -> tuple:
        return os.system, ("touch canary",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            dict(meta=dict(dataset_meta=dict(palette=Palette()))),
            ["test_harmless.Palette at meta.dataset_meta.palette"],
        ),
        (dict(meta=dict(a=[1, (2, Runs())])), ["system at meta.a[1][1]"]),
        (dict(meta=collections.OrderedDict(a=Runs())), ["system", "meta"]),
        (dict(meta=dict(a=collections.deque([1]))), ["collections.deque at meta.a"]),
        (dict(meta=dict(a=np.array([Runs()], dtype=object))), ["ObjectDType at meta.a"]),
        (dict(state_dict={"0.weight": torch.ones(3)}, meta={"x": eval}), ["eval at meta.x"]),
    ],
)
def test_a_refusal_names_type_and_place_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict, words: list[str], zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(trust.UntrustedFileError, match=r"x\.pth: refused") as caught:
        load_weights("x.pth")
    for word in words:
        assert word in str(caught.value)
    assert not Path("canary").exists()
