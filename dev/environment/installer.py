"""What installs packages: uv where it can be had, else pip; and how much there is to download.

uv does not read pip's configuration, so where packages come from is translated for it. Both read
only wheels and source packages of the configured indexes; the machine's own settings of uv
(``UV_*``) win.
"""

from __future__ import annotations

import ast
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from mmext.doctor.facts import OK
from mmext.doctor.supported import check_pair, is_cpu_build, torchvision_for

from . import ROOT

REQUIREMENTS = ROOT / "requirements"
PINS = ("shared", "dev")


class Stop(Exception):  # noqa: N818 - it is no error of the program
    """The set-up cannot go on; the message is one sentence that says what to do."""


class Installer(NamedTuple):
    """An environment's Python, with uv and its variables; without uv, pip does the work."""

    python: Path
    uv: str = ""
    env: Mapping[str, str] = {}
    constraints: tuple[str, ...] = ()

    @property
    def pip(self) -> list[str]:
        """The environment's own pip."""
        return [str(self.python), "-m", "pip", "--disable-pip-version-check"]

    def run(self, *words: object) -> None:
        """Call ``pip install``, or uv's."""
        quiet = () if sys.stdout.isatty() else ("-q",)
        if self.uv:
            # Compiled once, as pip does: where Python may not write bytecode, each import would
            # compile anew.
            flags = ("--python", self.python, "--compile-bytecode", *quiet)
            call(self.uv, "pip", "install", *flags, *words, env=self.env)
        else:
            call(*self.pip, "install", *quiet, *words)

    def ask(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Call uv and listen."""
        command = [self.uv, "pip", *map(str, words), "--python", str(self.python)]
        return subprocess.run(command, capture_output=True, text=True, env=self.env, cwd=ROOT)


def call(*command: object, env: Mapping[str, str] | None = None) -> None:
    """Run a command that speaks for itself; stop with a sentence if it fails."""
    words = [str(word) for word in command]
    if subprocess.run(words, env=env, cwd=ROOT).returncode:
        raise Stop(
            f"failed: {' '.join(words)}; the lines above say why: mend that, then run make setup "
            "again"
        )


def find(python: Path, env: Mapping[str, str]) -> Installer:
    """Bring uv into an environment; where it cannot be had, one on the path serves, else pip."""
    pip = Installer(python).pip
    own = python.with_name("uv")
    if not own.exists() and env.get("MMEXT_INSTALLER") != "pip":
        subprocess.run(
            [*pip, "install", "-q", "-r", str(REQUIREMENTS / "uv.txt")], capture_output=True
        )
    uv = str(own) if own.exists() else shutil.which("uv") or ""
    if not uv or env.get("MMEXT_INSTALLER") == "pip":
        print("mmext: uv cannot be had here; pip installs, which takes longer", flush=True)
        return Installer(python)
    told = subprocess.run([*pip, "config", "list"], capture_output=True, text=True).stdout
    variables = {**from_pip(told), **env}
    # uv refuses them beside a lock, which has met them.
    constraints = variables.pop("UV_CONSTRAINT", "").split()
    return Installer(python, uv, variables, (str(REQUIREMENTS / "shared.txt"), *constraints))


def from_pip(told: str) -> dict[str, str]:
    """Translate ``pip config list`` into uv's variables, without what does not exist, as pip does.

    >>> from_pip("global.timeout='60'")
    {'UV_INDEX_STRATEGY': 'unsafe-best-match', 'UV_HTTP_TIMEOUT': '60'}
    """
    values: dict[str, str] = {}
    for scope in ("global", "install", ":env:"):  # pip's own order, the last wins
        for key, text in re.findall(rf"^{scope}\.([\w-]+)=(.+)$", told, flags=re.M):
            values[key.replace("default-timeout", "timeout")] = ast.literal_eval(text)
    here = {
        key: values.get(key, "").split() for key in ("extra-index-url", "find-links", "constraint")
    }
    for place in [
        word for words in here.values() for word in words if not exists(word, "proxy" in values)
    ]:
        print(
            f"mmext: {place}, which pip's configuration names, is not there; going on without",
            flush=True,
        )
        here = {key: [word for word in words if word != place] for key, words in here.items()}
    found = {
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # pip takes the best version of all indexes
        "UV_DEFAULT_INDEX": values.get("index-url", ""),
        "UV_INDEX": " ".join(here["extra-index-url"]),
        "UV_FIND_LINKS": ",".join(here["find-links"]),
        "UV_CONSTRAINT": " ".join(here["constraint"]),
        "UV_NO_INDEX": "1" if values.get("no-index") in ("1", "true", "yes") else "",
        "UV_INSECURE_HOST": values.get("trusted-host", ""),
        "UV_HTTP_TIMEOUT": values.get("timeout", ""),
        "SSL_CERT_FILE": values.get("cert", ""),
        "SSL_CLIENT_CERT": values.get("client-cert", ""),
        "HTTPS_PROXY": values.get("proxy", ""),
        "HTTP_PROXY": values.get("proxy", ""),
    }
    return {name: value for name, value in found.items() if value}


def exists(place: str, proxy: bool = False) -> bool:
    """Whether a file or folder is there or a host known; behind a proxy that is not ours to ask."""
    parts = urlsplit(place)
    if parts.scheme in ("", "file"):
        return Path(unquote(parts.path)).expanduser().exists()
    try:
        return bool(proxy or getproxies() or socket.getaddrinfo(parts.hostname, None))
    except OSError:
        return False


def choices(torch: str, torchvision: str, has_gpu: bool) -> list[list[str]]:
    """What to ask the index for, in this order, until it has it all.

    A version of torchvision names the pair literally (three equals signs: no local version counts
    as equal).

    >>> choices("2.14.1", "auto", has_gpu=True)
    [['torch==2.14.1', 'torchvision==0.29.*'], ['torch==2.14.1']]
    """
    if torchvision not in ("auto", "none"):
        return [[f"torch==={torch}", f"torchvision==={torchvision}"]]
    builds = [torch] if has_gpu or "+" in torch else [f"{torch}+cpu", torch]
    pairs = [[f"torch=={one}", f"torchvision=={torchvision_for(one)}.*"] for one in builds]
    return [
        wish
        for pair in pairs
        for wish in (pair, pair[:1])
        if torchvision == "auto" or len(wish) == 1
    ]


def versions(lock: str) -> dict[str, str]:
    """Names and versions in a lock, or in the ``name==version`` lines of a requirements file."""
    return dict(
        re.findall(r'^(?:name = ")?([\w.-]+)(?:"\nversion = "|==)([\w.+]+)', lock, flags=re.M)
    )


def fits(found: Mapping[str, str]) -> bool:
    """Whether torch and torchvision, if there, are of one build."""
    return (
        "torchvision" not in found or check_pair(found["torch"], found["torchvision"]).status == OK
    )


def resolve(
    installer: Installer, wishes: list[list[str]], hosts: list[str], folder: Path
) -> list[object]:
    """Resolve the first wish that an index has; return the words that install it and all pins."""
    constraints = [word for path in installer.constraints for word in ("-c", path)]
    asked, torch, named = (folder / f"mmext-{name}.txt" for name in ("asked", "torch", "hosts"))
    for wish in wishes:
        asked.write_text("\n".join(wish))
        told = installer.ask(
            "compile", "-q", "--no-header", "--no-annotate", *constraints, asked, "-o", torch
        )
        if not told.returncode and fits(versions(torch.read_text())):
            break
    else:
        problem = " ".join(told.stderr.split())
        raise Stop(
            f"no index has {' with '.join(wishes[-1])} for this Python: {problem}; "
            "name another: make setup TORCH=..."
        )
    # Literally, or the next resolution may take another build of the same version.
    torch.write_text(re.sub(r"^(torch(vision)?)==(?!=)", r"\1===", torch.read_text(), flags=re.M))
    named.write_text("\n".join(hosts))
    files = (torch, named, *(REQUIREMENTS / f"{name}.txt" for name in PINS))
    return ["--no-deps", *(word for file in files for word in ("-r", file))]


def sizes(lock: str) -> dict[str, int]:
    """Bytes to fetch for each package of a lock.

    None for what lies on this machine, or has no known size.
    """
    found = {}
    for block in lock.split("[[packages]]")[1:]:
        name = re.search(r'^name = "(.+)"', block, flags=re.M)
        files = re.search(r"^wheels = (.*)$", block, flags=re.M) or re.search(
            r"^sdist = (.*)$", block, flags=re.M
        )
        size = files and re.search(r"\bsize = (\d+)", files[1])
        found[name[1] if name else ""] = int(size[1]) if size else 0
    return found


def to_fetch(installer: Installer, words: list[object], folder: Path) -> int:
    """Bytes of what these words install and uv's cache does not hold yet."""
    lock = folder / "pylock.toml"  # of all formats this one tells sizes
    files = [word for word in words if word != "-r"]
    told = installer.ask("compile", "-q", "--format", lock.name, *files, "-o", lock)
    if told.returncode:
        raise Stop(
            f"the pins cannot be resolved: {' '.join(told.stderr.split())}; see that the index is "
            "reached"
        )
    told = installer.ask("install", "--dry-run", "-v", *words)
    missing = set(re.findall(r"Identified uncached distribution: ([\w.-]+)==", told.stderr))
    return sum(size for name, size in sizes(lock.read_text()).items() if name in missing)


def describe(size: int) -> str:
    """A size for people."""
    return f"about {size / 1e9:.1f} GB" if size >= 1e9 else f"about {max(1, round(size / 1e6))} MB"


def use_pip(installer: Installer, wishes: list[list[str]], hosts: list[str]) -> None:
    """Install without uv: no size is known before; a torchvision that does not fit goes again."""
    print(
        "mmext: 0.3 to 4 GB to download, as torch comes without or with CUDA's libraries",
        flush=True,
    )
    for wish in wishes:
        command = [*installer.pip, "install", "-q", "-c", REQUIREMENTS / "shared.txt", *wish]
        if not subprocess.run([str(word) for word in command]).returncode:
            break
    else:
        raise Stop(
            f"pip cannot install {' with '.join(wishes[-1])}, and says why above; "
            "name another: make setup TORCH=..."
        )
    files = (word for name in PINS for word in ("-r", REQUIREMENTS / f"{name}.txt"))
    installer.run("--no-deps", *hosts, *files)


def remarks(found: Mapping[str, str], torchvision: str) -> Iterable[str]:
    """What to say about the torch and torchvision that were taken."""
    torch = found["torch"]
    if is_cpu_build(torch):
        yield f"torch {torch} is a CPU build: no NVIDIA device is here, or it was asked for"
    if "torchvision" not in found and torchvision != "none":
        series = torchvision_for(torch)
        yield (
            f"no index has torchvision {series} of the same build as torch {torch}: "
            "plain PyTorch serves its operators"
        )
