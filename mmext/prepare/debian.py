"""Debian packages as data: fetched with apt-get, checked, kept for offline use, never installed.

No root is needed and the machine stays as it is: where apt's own package lists do not help, fresh
ones are fetched into a private folder that is removed afterwards. dpkg-deb unpacks a package into
memory.

Checks   the expected version by SHA-256; another version, which is all that a newer Debian or an
         Ubuntu has, by apt itself against the signatures of its archive. ``fetch`` says which one
         it got
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmext.prepare.packages import CACHE, DataError

# -c is read after the machine's own settings, so proxies and sources stay, and hooks of
# `apt-get update` go.
PRIVATE_APT = """
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State::lists "{folder}/lists/";
Dir::Cache "{folder}/cache/";
APT::Sandbox::User "root";
Acquire::Languages "none";
"""


@dataclass(frozen=True)
class Deb:
    """One package for all architectures, in the version that the data was chosen from."""

    name: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name that apt-get gives to the downloaded file."""
        return f"{self.name}_{self.version}_all.deb"


def version_of(path: Path) -> str:
    """The version in a package's file name.

    Example:
        >>> version_of(Path("data/packages/mate-backgrounds_1.26.0-1_all.deb"))
        '1.26.0-1'
    """
    return path.name.split("_")[1]


def fetch(deb: Deb, cache: Path = CACHE) -> Path:
    """Return the package's path in the cache, downloading it with apt-get if it is not there yet.

    The expected version is preferred; where the archive has moved on, it is the version that the
    archive has.

    Args:
        deb: what to fetch.
        cache: folder that keeps packages between runs; made if missing.

    Raises:
        DataError: this machine has no apt, apt could not fetch the package, or its checksum is
            wrong.
    """
    kept = [cache / deb.file_name, *sorted(cache.glob(f"{deb.name}_*_all.deb"))]
    found = next((path for path in kept if path.exists()), None)
    if found is None:
        find_tools()
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as folder:
            downloaded = _download(deb, Path(folder).resolve(), cache)
            _check(downloaded, deb, "the archive serves another file; nothing was kept")
            found = cache / downloaded.name
            # Moved only when complete and checked, so a killed run leaves no half file under the
            # name.
            os.replace(downloaded, found)
    _check(found, deb, "delete it and run this command again")
    return found


def find_tools() -> None:
    """Make sure that this machine can fetch and open Debian packages.

    Raises:
        DataError: it cannot.
    """
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise DataError(
            f"expected apt-get and dpkg-deb, which Debian and Ubuntu have, got a machine without "
            f"{' and '.join(missing)}; take the tree crowns instead: mmext data trees"
        )


def _download(deb: Deb, folder: Path, cache: Path) -> Path:
    pinned = f"{deb.name}={deb.version}"
    done = _apt(folder, "download", pinned)
    if done.returncode != 0:  # no lists yet, lists too old, or another version
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        config = folder / "apt.conf"
        config.write_text(PRIVATE_APT.format(folder=folder))
        private = ("-c", str(config))
        updated = _apt(folder, *private, "update")
        done = _apt(folder, *private, "download", pinned)
        if done.returncode != 0:
            done = _apt(folder, *private, "download", deb.name)
        if updated.returncode != 0 and done.returncode != 0:
            done = updated  # its words name the cause
    downloaded = next(folder.glob(f"{deb.name}_*_all.deb"), None)
    if done.returncode != 0 or downloaded is None:
        said = (done.stderr.strip() or "nothing").splitlines()[-1]
        raise DataError(
            f"apt-get could not fetch {deb.name} {deb.version} (it said: {said}); check the "
            f"network and run this command again, or put {deb.file_name} from another machine at "
            f"{cache / deb.file_name}"
        )
    return downloaded


def _apt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C"}
    command = ["apt-get", "-qq", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def _check(path: Path, deb: Deb, remedy: str) -> None:
    if path.name != deb.file_name:
        return  # another version: apt has checked it
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != deb.sha256:
        raise DataError(f"{path}: expected SHA-256 {deb.sha256}, got {digest}; {remedy}")


def read_files(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Read the package's files whose path satisfies ``wanted``, as ``usr/share/doc/x/copyright``.

    Raises:
        DataError: dpkg-deb is missing or cannot unpack the package.
    """
    find_tools()
    files = {}
    with tempfile.TemporaryFile() as words:
        command = ["dpkg-deb", "--fsys-tarfile", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words) as process:
            assert process.stdout is not None
            try:
                with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                    for member in tar:
                        name = member.name.removeprefix("./")
                        if member.isfile() and wanted(name):
                            file = tar.extractfile(member)
                            assert file is not None  # it is a file
                            files[name] = file.read()
                process.stdout.read()  # the padding, or dpkg-deb would complain about a closed pipe
                broken = ""
            except (tarfile.TarError, EOFError) as error:
                broken = str(error)
        words.seek(0)
        said = words.read().decode(errors="replace").strip().splitlines()
    if broken or process.returncode != 0:
        raise DataError(
            f"{path}: expected a Debian package, got one that cannot be unpacked "
            f"(dpkg-deb said: {said[-1] if said else broken}); delete it and run this command again"
        )
    return files
