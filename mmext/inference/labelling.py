"""What a model finds on all pictures of a folder, in shards: a killed run goes on where it was.

Shards    ``shards/00000.json``: what was found on that many pictures, in the order of their names,
          moved into place when it is whole
Identity  ``run.json``: of which checkpoint, config, pictures and settings the shards are; others
          are refused
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmext.errors import BadInputError
from mmext.files import write_whole
from mmext.inference.inputs import PICTURES

Record = dict[str, Any]
"""What was found on one picture: its name, width, height, and what the task has."""


def pictures_below(folder: Path) -> list[str]:
    """Names of all pictures in a folder and those below it, sorted.

    Raises:
        BadInputError: there are none.
    """
    if not folder.is_dir():
        raise BadInputError(f"{folder}: not found, expected a folder of pictures; check the path")
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURES and path.is_file()
    )
    if not found:
        raise BadInputError(
            f"{folder}: expected pictures ({', '.join(PICTURES)}), got none; check the path"
        )
    return found


def digest(file: str | Path) -> str:
    """SHA-256 of a file."""
    with Path(file).open("rb") as content:
        return (
            hashlib.file_digest(content, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else hashlib.sha256(content.read()).hexdigest()
        )


def digest_of(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


class Shards:
    """The shards of one run, in a folder.

    Args:
        folder: where they are; made if need be.
        names: of the pictures.
        size: pictures a shard.
        identity: what they are of, and must be of, in words and numbers.

    Raises:
        BadInputError: the folder holds another run's.
    """

    def __init__(
        self, folder: Path, names: Sequence[str], *, size: int, identity: Mapping[str, Any]
    ) -> None:
        self.folder, self.names, self.size = folder, names, size
        wanted = {**identity, "pictures": digest_of("\n".join(names)), "shard_size": size}
        note = folder / "run.json"
        if note.is_file():
            refuse_another(folder, json.loads(note.read_text(encoding="utf-8")), wanted)
        else:
            write_whole(note, json.dumps(wanted))

    def __len__(self) -> int:
        return -(-len(self.names) // self.size)

    def file(self, number: int) -> Path:
        """Where a shard is, or will be."""
        return self.folder / "shards" / f"{number:05d}.json"

    def fill(self, find: Callable[[str], Record], say: Callable[[str], None] = print) -> None:
        """Let ``find`` look at every picture that no shard has yet."""
        for number in range(len(self)):
            if self.file(number).is_file():
                continue
            some = self.names[number * self.size : (number + 1) * self.size]
            write_whole(self.file(number), json.dumps([find(name) for name in some]))
            say(f"{min((number + 1) * self.size, len(self.names))} of {len(self.names)} pictures")

    def __iter__(self) -> Iterator[Record]:
        """What was found on each picture, in order."""
        for number in range(len(self)):
            yield from json.loads(self.file(number).read_text(encoding="utf-8"))


def refuse_another(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Compare what shards are of with what they must be of.

    Raises:
        BadInputError: something differs.
    """
    for key, value in wanted.items():
        if found.get(key) != value:
            raise BadInputError(
                f"{folder}: expected what this {key.replace('_', ' ')} gives ({_short(value)}), "
                f"got that of another ({_short(found.get(key))}); give another --out, or delete it"
            )


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else str(value)
