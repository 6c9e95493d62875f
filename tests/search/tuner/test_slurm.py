"""tools/slurm_search.sh starts an array of the same command."""

import os
import subprocess

from tests.checkout import REPO


def test_an_array_of_workers_joins_one_study(tmp_path):
    (tmp_path / "sbatch").write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    (tmp_path / "sbatch").chmod(0o755)
    words = ["part", "job", "my config.py", str(tmp_path / "my work"), "16", "--space", "lr"]
    done = subprocess.run(
        [REPO / "tools" / "slurm_search.sh", *words],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PYTHON": "echo"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    given = done.stdout.splitlines()
    assert given[given.index("--array") + 1] == "1-16"
    wrapped = given[given.index("--wrap") + 1]
    called = subprocess.run(["sh", "-c", wrapped], capture_output=True, text=True).stdout
    assert called.startswith("-u ")
    assert f"my config.py --work-dir {tmp_path}/my work --resume --ranks 1 --space lr" in called


def test_too_few_arguments_show_the_usage():
    done = subprocess.run([REPO / "tools" / "slurm_search.sh", "a"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
