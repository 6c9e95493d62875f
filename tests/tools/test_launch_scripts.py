"""The shell scripts hand everything on unharmed; the real two-rank run is in test_two_ranks.py."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.checkout import REPO

FLAGS = ["--cfg-options", "a.b=[1,2]", "c='two words'"]
ECHO = '#!/usr/bin/env bash\nprintf "%s\\n" "$@"\necho "PYTHONPATH=$PYTHONPATH"\n'


def start(script: str, *arguments: str, folder: Path, **env: str) -> subprocess.CompletedProcess:
    """Run a script with programs in place of srun and python that print what they were given."""
    for name in ("srun", "python"):
        (folder / name).write_text(ECHO)
        (folder / name).chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(REPO / "tools" / script), *arguments],
        env={**os.environ, "PATH": path, "PYTHONPATH": "mine", **env},
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("script", "arguments", "call"),
    [
        (
            "dist_train.sh",
            ["my config.py", "4"],
            ["train.py", "my config.py", "--launcher", "pytorch"],
        ),
        (
            "dist_test.sh",
            ["my config.py", "x.pth", "4"],
            ["test.py", "my config.py", "x.pth", "--launcher", "pytorch"],
        ),
        (
            "slurm_train.sh",
            ["part", "job", "my config.py", "work dir"],
            ["train.py", "my config.py", "--work-dir", "work dir", "--launcher", "slurm"],
        ),
        (
            "slurm_test.sh",
            ["part", "job", "my config.py", "x.pth"],
            ["test.py", "my config.py", "x.pth", "--launcher", "slurm"],
        ),
    ],
)
def test_arguments_and_environment_arrive(
    tmp_path: Path, script: str, arguments: list[str], call: list[str]
) -> None:
    env = dict(
        NNODES="2",
        NODE_RANK="1",
        MASTER_ADDR="node7",
        PORT="1234",
        GPUS="4",
        SRUN_ARGS="--time 1:00",
    )
    done = start(script, *arguments, *FLAGS, folder=tmp_path, **env)
    assert done.returncode == 0, done.stderr
    *given, path = done.stdout.splitlines()
    assert path == f"PYTHONPATH={REPO}/tools/..:mine"
    assert given[-len(call + FLAGS) :] == [f"{REPO}/tools/{call[0]}", *call[1:], *FLAGS]
    expected = (
        "--nnodes 2 --node_rank 1 --master_addr node7 --master_port 1234 --nproc_per_node 4"
        if script.startswith("dist")
        else (
            "--partition part --job-name job --gres gpu:8 --ntasks 4 --ntasks-per-node 8 "
            "--cpus-per-task 5 --kill-on-bad-exit 1 --time 1:00 python -u"
        )
    )
    assert expected in " ".join(given)


DIST = pytest.mark.parametrize(
    ("script", "arguments"),
    [("dist_train.sh", ["config.py", "2"]), ("dist_test.sh", ["config.py", "x.pth", "2"])],
)


@DIST
def test_one_machine_takes_a_free_port(tmp_path: Path, script: str, arguments: list[str]) -> None:
    given = start(script, *arguments, folder=tmp_path, PORT="").stdout.split()
    assert "--standalone" in given
    assert "--master_port" not in given
    given = start(script, *arguments, folder=tmp_path, PORT="1234").stdout.split()
    assert given[given.index("--master_port") + 1] == "1234"


@DIST
def test_several_machines_take_the_port_of_their_command(
    tmp_path: Path, script: str, arguments: list[str]
) -> None:
    def port(node: str, *more: str) -> int:
        env = dict(PORT="", NNODES="2", NODE_RANK=node, MASTER_ADDR="node7")
        given = start(script, *arguments, *more, folder=tmp_path, **env).stdout.split()
        return int(given[given.index("--master_port") + 1])

    assert port("0") == port("1") != port("0", "--seed", "1")
    assert 1024 <= port("0") < 32768  # a system hands out those above by itself


@pytest.mark.parametrize(
    "script",
    [
        *("dist_train.sh", "dist_test.sh", "on_ranks.sh"),
        *("slurm_train.sh", "slurm_test.sh", "under_slurm.sh"),
    ],
)
def test_too_few_arguments_show_the_usage(tmp_path: Path, script: str) -> None:
    done = start(script, "only-one", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
