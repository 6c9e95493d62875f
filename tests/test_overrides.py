"""Private methods that override something still do, in the package and in what is timed with it.

A method that a base has lost, or has never had, is called by nobody: what it was to change goes on
as it was, and a comparison with it compares a thing with itself.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from tests.checkout import REPO


def uncalled(text: str) -> Iterator[tuple[str, str]]:
    """Class and private method of those that a module defines and names no more, but for super."""
    for cls in ast.walk(ast.parse(text)):
        for method in cls.body if isinstance(cls, ast.ClassDef) and cls.bases else ():
            name = getattr(method, "name", "")
            private = name.startswith("_") and not name.startswith("__")
            if private and not re.search(rf"(?<!def )(?<!super\(\)\.)\b{name}\b", text):
                yield cls.name, name


def lost(file: Path, found: list[tuple[str, str]]) -> list[str]:
    """Those that no base has either."""
    module = importlib.import_module(".".join(file.relative_to(REPO).with_suffix("").parts))
    return [
        f"{file.relative_to(REPO)}: {cls}.{name}"
        for cls, name in found
        if not any(name in vars(base) for base in getattr(module, cls).__mro__[1:])
    ]


def test_a_method_that_nobody_calls_is_found():
    text = """class A(B):
    def _a(self): ...
    def _b(self): return self._a()
    def _c(self): return super()._c()
    def d(self): ...
"""
    assert list(uncalled(text)) == [("A", "_b"), ("A", "_c")]


def test_each_private_method_is_called_here_or_overrides_one_of_a_base():
    files = [file for folder in ("mmext", "dev") for file in sorted((REPO / folder).rglob("*.py"))]
    found = {file: list(uncalled(file.read_text())) for file in files}
    looked_at = {file: some for file, some in found.items() if some}
    assert len(looked_at) > 10
    assert not [one for file, some in looked_at.items() for one in lost(file, some)]
