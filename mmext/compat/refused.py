"""Where in a refused file the trouble lies, as ``meta.dataset_meta.palette``, without running it.

The pickle is gone through with a stand-in for every class and function that it names, so nothing
runs.
"""

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class _StandIn:
    """Answers for whatever the pickle names and keeps what it was given."""

    full_name = ""
    held: list[Any]

    def __new__(cls, *args: Any, **_: Any) -> "_StandIn":
        self = super().__new__(cls)
        self.held = list(args)
        return self

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __call__(self, *args: Any) -> "_StandIn":
        self.held += args
        return self

    def __setstate__(self, state: Any) -> None:
        self.held.append(state)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.held.append({key: value})

    def append(self, one: Any) -> None:
        self.held.append(one)

    def extend(self, several: Any) -> None:
        self.held += several

    add = append


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return type(name, (_StandIn,), {"full_name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        return None  # a tensor's numbers


def place_of(wanted: str, file: Any) -> str:
    """Keys to what a refused file holds of class ``wanted``; empty where that cannot be told.

    Args:
        wanted: full name of the class or function.
        file: the file's path.
    """
    try:
        found = next(_places(_content(Path(file)), wanted.rpartition(".")[2], ""), "")
    except Exception:  # of a file that nobody trusts: whatever it does wrong, the refusal stands
        return ""
    return found.lstrip(".")


def _content(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            entry = next(one for one in archive.namelist() if one.rpartition("/")[2] == "data.pkl")
            with archive.open(entry) as stream:
                return _Reader(stream).load()
    with path.open("rb") as stream:
        first = _Reader(stream).load()
        if not isinstance(first, int):
            return first
        # torch's format before 1.6: a magic number, a version, facts about the machine, the content
        return [_Reader(stream).load() for _ in range(3)][-1]


def _places(value: Any, name: str, path: str) -> Iterator[str]:
    kind = type(value) if not isinstance(value, type) else value
    if issubclass(kind, _StandIn) and kind.__name__ == name:
        yield path
    if name == "ObjectDType" and kind.__name__ == "dtype" and str(value.held[0]).startswith("O"):
        yield path  # torch names the class that numpy makes of dtype("O")
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _places(key, name, path)
            yield from _places(one, name, f"{path}.{key}")
    elif isinstance(value, list | tuple | set | frozenset):
        for index, one in enumerate(value):
            yield from _places(one, name, f"{path}[{index}]")
    elif isinstance(value, _StandIn):
        for one in value.held:
            yield from _places(one, name, path)
