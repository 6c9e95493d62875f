"""Remember a check that found no error, as long as nothing that it looked at has changed.

Key      all that the check depends on but files: the data set's config, what the run reads, mmext's
         version
Stamp    path, size and time of the annotation file and of everything in the folders of the samples;
         listing 118,000 images takes a second where reading their annotations takes a quarter of a
         minute and 3 GB
Place    $MMEXT_CACHE, else checks/ in mmext's folder of the user's cache; nothing is lost if it is
         deleted
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mmext.data_checks.report import Report
from mmext.files import write_whole
from mmext.version import __version__

logger = logging.getLogger("mmext")

WORTH_S = 2.0
"""Checks that take less are made anew every time."""

MOST_FOLDERS = 2000
"""Samples that lie in more folders, such as frames of videos, are looked at anew every time."""


def place() -> Path:
    """The folder of what is remembered."""
    if own := os.environ.get("MMEXT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmext" / "checks"


def remembered(
    key: Any, files: Iterable[str], check: Callable[[], Report], *, anew: bool = False
) -> Report:
    """The report of a check, made now or remembered.

    Args:
        key: all that it depends on but files, as JSON can hold it.
        files: what it reads besides the samples in the report's folders.
        check: makes the report.
        anew: make it now in any case; it is still remembered for the next time.
    """
    text = json.dumps([__version__, key], sort_keys=True, default=str)
    files = sorted(files)
    record = _record(text)
    if not anew and record is not None and (report := _read(record, text, files)) is not None:
        logger.info("%s: checked before, and unchanged since", report.file)
        return report
    start = time.monotonic()
    report = check()
    taken = time.monotonic() - start
    if (
        record is not None
        and taken > WORTH_S
        and not report.errors
        and len(report.folders) <= MOST_FOLDERS
    ):
        _write(
            record, {"key": text, "stamp": stamp(files, report.folders), "report": report.to_json()}
        )
    return report


def stamp(files: Iterable[str], folders: Iterable[str]) -> str:
    """A fingerprint of files and of what lies in folders: names, sizes and times, not the content.

    Raises:
        OSError: one of them is not there.
    """
    digest = hashlib.sha256()
    for file in files:
        found = os.stat(file)
        digest.update(
            f"{os.path.realpath(file)}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(
                errors="replace"
            )
        )
    for folder in folders:
        lines = []
        with os.scandir(folder) as entries:
            for entry in entries:
                found = entry.stat()
                lines.append(f"{entry.name}\0{found.st_size}\0{found.st_mtime_ns}")
        digest.update(f"{os.path.realpath(folder)}\n".encode(errors="replace"))
        digest.update("\n".join(sorted(lines)).encode(errors="replace"))
    return digest.hexdigest()


def _record(text: str) -> Path | None:
    """Where the check of a key is remembered; None if there is no such place."""
    try:
        return place() / f"{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:32]}.json"
    except RuntimeError:  # a user without a home
        return None


def _read(record: Path, text: str, files: list[str]) -> Report | None:
    """What is remembered, if it is still true."""
    try:
        saved = json.loads(record.read_text(encoding="utf-8"))
        report = Report.from_json(saved["report"])
        if saved["key"] == text and saved["stamp"] == stamp(files, report.folders):
            return report
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.debug("%s: not remembered: %s", record, error)
    return None


def _write(record: Path, saved: dict[str, Any]) -> None:
    """Remember it; whoever reads at the same time finds the old record or the new one."""
    try:
        write_whole(record, json.dumps(saved))
    except OSError as error:
        logger.debug("%s: cannot be remembered: %s", record, error)
