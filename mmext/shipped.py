"""The configs that mmext ships, by name: in a wheel they lie in the package's folder ``.mim``.

Host     none, and no other package: ``mmext configs`` works where nothing else does
Name     the path below ``configs/`` without its ending, or its last part alone:
         ``detection/gfl/gfl_r50_fpn_8xb2-1x_coco`` or ``gfl_r50_fpn_8xb2-1x_coco``
"""

import ast
import difflib
from pathlib import Path

from mmext.errors import BadInputError

PACKAGE = Path(__file__).resolve().parent
SCOPE = "mmext::"
"""What mmengine writes before the name of a config that a package ships."""


def folder() -> Path:
    """Where the configs lie: copies or links in ``.mim``; in a bare checkout beside the package."""
    inside = PACKAGE / ".mim" / "configs"
    return inside if inside.is_dir() else PACKAGE.parent / "configs"


def names() -> list[str]:
    """All configs that can be run."""
    root = folder()
    found = (path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.py"))
    return sorted(name for name in found if not name.startswith("_base_/"))


def find(name: str) -> Path:
    """The file of a config, or of a base: ``_base_/models/gfl_r50_fpn``.

    Raises:
        BadInputError: there is none of that name.
    """
    wanted = name.removeprefix(SCOPE).removesuffix(".py")
    if (path := folder() / f"{wanted}.py").is_file():
        return path
    known = names()
    short = {one.rpartition("/")[2]: one for one in known}
    if wanted in short:
        return folder() / f"{short[wanted]}.py"
    near = difflib.get_close_matches(wanted, [*short, *known], n=3, cutoff=0.7)
    guess = f"did you mean {' or '.join(near)}?" if near else "mmext configs list shows all"
    raise BadInputError(
        f"{name}: expected a path, or the name of a config that mmext ships, got none; {guess}"
    )


def standing_alone(path: Path) -> str:
    """A config's text with bases that are found from anywhere: ``mmext::_base_/models/…``."""
    text = path.read_text()
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign) and "_base_" in map(ast.unparse, statement.targets):
            for base in (
                str(one.value) for one in ast.walk(statement.value) if isinstance(one, ast.Constant)
            ):
                name = (path.parent / base).resolve().relative_to(folder().resolve()).as_posix()
                text = text.replace(f'"{base}"', f'"{SCOPE}{name}"')
    return text
