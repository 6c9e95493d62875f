"""The two Debian packages of cut-outs and background photographs."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmext.prepare.debian import Deb, fetch, read_files, version_of
from mmext.prepare.stamps_pictures import MATE, PICTURES, TUXPAINT, class_of, digest, is_background


def fetch_both(cache: Path) -> dict[Deb, Path]:
    """Where the two packages lie, fetched if they are not there.

    Raises:
        DataError: they cannot be fetched, or one is not what was expected.
    """
    return {deb: fetch(deb, cache) for deb in (TUXPAINT, MATE)}


@dataclass(frozen=True)
class Package:
    """What the two Debian packages hold of use: pictures by path, makers' words, and origin."""

    stamps: dict[str, bytes]
    photos: dict[str, bytes]
    licence: bytes
    info: dict[str, Any]


def unpack(paths: Mapping[Deb, Path]) -> Package:
    """Read the packages; say so on stderr if they are of other versions than expected."""
    notes = {deb.name: copyright_file(deb) for deb in paths}
    chosen = {TUXPAINT: class_of, MATE: is_background}
    files = {
        deb: read_files(
            path, lambda name, deb=deb: name == notes[deb.name] or bool(chosen[deb](name))
        )
        for deb, path in paths.items()
    }
    copyrights = {deb.name: found.pop(notes[deb.name], b"(none)\n") for deb, found in files.items()}
    versions = {deb.name: version_of(path) for deb, path in paths.items()}
    got = digest(files[TUXPAINT] | files[MATE])
    report_versions(versions, got)
    info = {"packages": versions, "pictures": got}
    return Package(files[TUXPAINT], files[MATE], licence(copyrights), info)


def licence(copyrights: dict[str, bytes]) -> bytes:
    """The two packages' own words."""
    head = (
        "The images and maps in this folder are composed of pictures from two Debian packages "
        "and are under\n"
        "their licence, the GNU General Public License, version 2 or later. "
        "Their copyright files follow.\n"
    )
    parts = [f"\n==== {name} ====\n\n".encode() + text for name, text in sorted(copyrights.items())]
    return head.encode() + b"".join(parts)


def copyright_file(deb: Deb) -> str:
    """Where a Debian package says who made it."""
    return f"usr/share/doc/{deb.name}/copyright"


def report_versions(versions: dict[str, str], got: str) -> None:
    """Say so if the archive has other versions, and whether their pictures differ."""
    what = (
        "the same pictures" if got == PICTURES else "other pictures, so results are not comparable"
    )
    for deb in (TUXPAINT, MATE):
        if versions[deb.name] != deb.version:
            said = f"expected version {deb.version}, got {versions[deb.name]} with {what}"
            print(f"warning: {deb.name}: {said}.", file=sys.stderr)
