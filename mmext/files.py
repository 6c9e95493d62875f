"""Files that have their name only once they are whole, whenever the run that writes them ends."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Where to write what is to become ``file``; its folder is made if need be.

    Other processes may write the same file: each has a place of its own, and the last one stays.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "made" / "numbers.txt"
        >>> with replacing(file) as part:
        ...     _ = part.write_text("1 2 3")
        ...     file.exists()
        False
        >>> file.read_text()
        '1 2 3'
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{uuid.uuid4()}.part")
    try:
        yield part
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def write_whole(file: Path, content: str | bytes) -> Path:
    """Write a text or bytes likewise.

    Returns:
        ``file``, for a line that says where it is.
    """
    with replacing(file) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    return file
