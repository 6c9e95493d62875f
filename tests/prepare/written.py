"""What a script of data has written, for tests that it writes the same again."""

import hashlib
from pathlib import Path


def contents(folder: Path) -> dict[str, str]:
    """Checksum of every file under a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
