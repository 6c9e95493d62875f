"""The real data and weights, made once by the project's own scripts (from their cache when it is there)."""

import os
import subprocess
import sys
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
