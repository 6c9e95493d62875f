"""Where a result comes from: the commit, the code's text, and the machine as a run finds it."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dev.demo.run import KEEP_MEMORY
from dev.evidence.study import ROOT, StudyError

WATCHED = ("mmext", "configs", "tools", "dev")
"""What a study depends on, and so must be committed before it runs."""

MACHINE = """
import importlib.metadata, json, os, platform, torch
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
def processor():
    try:
        lines = open("/proc/cpuinfo").read().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
names = ["torch", "torchvision", "numpy", "pillow", "mmengine", "onedl-mmengine",
         "mmcv", "mmcv-lite", "onedl-mmcv", "mmdet", "onedl-mmdetection",
         "mmsegmentation", "onedl-mmsegmentation", "mmaction2"]
print(json.dumps(dict(
    system=platform.system(), architecture=platform.machine(), processor=processor(),
    cores=os.cpu_count(), threads=torch.get_num_threads(),
    device=torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
    python=platform.python_version(),
    versions={name: found for name in names if (found := version(name))},
)))
"""
"""Run by a process that is started as the runs are, so it sees what they see."""


def environment() -> dict[str, str]:
    """What a run is started with: one thread, and a config in it finds the modules of dev/.

    The number of threads changes a short training as much as the seed does, so it is the study's,
    not the caller's.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return KEEP_MEMORY | os.environ | one_thread | {"PYTHONPATH": os.pathsep.join(paths)}


def read_machine() -> dict[str, Any]:
    """Processor, device, threads and versions, as a run finds them."""
    done = subprocess.run(
        [sys.executable, "-c", MACHINE],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def code_hash(modules: Iterable[str] = ()) -> str:
    """SHA-256 over the text of mmext, and of modules of dev/ that a config imports.

    A change of the code ends the validity of earlier runs, a change of the documentation does not.
    """
    files = sorted((ROOT / "mmext").rglob("*.py"))
    for name in sorted(set(modules)):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise StudyError(
                f"expected a module {name}, which a config imports, got none; correct its name"
            )
        files.append(Path(spec.origin))
    total = hashlib.sha256()
    for file in files:
        name = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else file.name
        total.update(f"{name}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def file_hashes(config: Any) -> dict[str, str]:
    """SHA-256 of every file that a config names: annotations, lists, arrays, weights.

    Folders of pictures are left out: the commands that make them and the code stand for them.
    """
    return {
        name: hashlib.sha256(Path(name).read_bytes()).hexdigest()
        for name in sorted(set(files_named(config)))
    }


def files_named(config: Any, root: str = "") -> Iterator[str]:
    """The files among a config's texts, by themselves or below the ``data_root`` beside them."""
    if isinstance(config, Mapping):
        root = config.get("data_root") or root
        for value in config.values():
            yield from files_named(value, root)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from files_named(value, root)
    elif isinstance(config, str):
        yield from filter(os.path.isfile, [config, os.path.join(root, config)])


def git(*words: str) -> str:
    """What git says of this checkout.

    Raises:
        StudyError: this is none.
    """
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise StudyError(
            f"expected a git checkout in {ROOT}, got none that git can read ({error}); clone the "
            "repository"
        ) from error
    return done.stdout.strip()


def committed() -> str:
    """The commit that holds all that a study depends on.

    Raises:
        StudyError: something is changed and not committed, so that nobody could tell what was
            stated.
    """
    if changed := git("status", "--porcelain", "--", *WATCHED):
        raise StudyError(
            "expected a study that is committed before it runs, got changes in "
            f"{changed.split()[1]}{' and elsewhere' if changed.count(chr(10)) else ''}; commit "
            "them, or choose the design with --develop"
        )
    return git("rev-parse", "HEAD")
