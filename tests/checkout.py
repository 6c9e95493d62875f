"""Where the checkout is, and its scripts run as people run them."""

import os
import subprocess
import sys
from pathlib import Path

from tests import fresh_process

REPO = Path(__file__).resolve().parents[1]


def run_script(name: str, *arguments: str | Path, cwd: Path = REPO, **environment: str):
    """Run a script of tools/ as people do; returns exit code, stdout and stderr."""
    command = [sys.executable, str(REPO / "tools" / name), *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment}
    )


def run_tool(name: str, *arguments: str | Path, cwd: Path = REPO, **environment: str):
    """The same with torch imported beforehand, for tests that start many."""
    script = REPO / "tools" / name
    return fresh_process.run_script(script, *arguments, cwd=cwd, **environment)


def run_on_ranks(name: str, *arguments: object, **environment: str) -> str:
    """Run one of the dist scripts, whose ranks have to leave their group; return what it wrote."""
    paths = f"{REPO / 'tests' / 'ranks_end'}{os.pathsep}{environment['PYTHONPATH']}"
    own = {**environment, "PYTHONPATH": paths, "PYTHON": sys.executable, "PORT": ""}
    done = subprocess.run(
        [str(REPO / "tools" / name), *map(str, arguments)],
        cwd=REPO,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr
