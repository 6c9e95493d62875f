"""Ranks are named as torch expects, and two jobs of a machine do not meet."""

import os
import socket
from pathlib import Path

import pytest

from mmext.engine import ranks


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores what is set
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("launcher", "given"),
    [
        ("slurm", dict(SLURM_PROCID="3", SLURM_NTASKS="4", SLURM_LOCALID="1", MASTER_ADDR="node7")),
        (
            "mpi",
            dict(
                OMPI_COMM_WORLD_RANK="3",
                OMPI_COMM_WORLD_SIZE="4",
                OMPI_COMM_WORLD_LOCAL_RANK="1",
                MASTER_ADDR="node7",
            ),
        ),
    ],
)
def test_ranks_are_named_as_torch_reads_them(
    monkeypatch: pytest.MonkeyPatch, launcher: str, given: dict[str, str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert ranks.rank() == 3
    ranks.name(launcher)
    ranks.meet(launcher)
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    assert [os.environ[name] for name in names] == ["3", "4", "1", "node7", "29500"]


def test_slurm_s_first_node_is_the_master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(
        '#!/bin/sh\n[ "$*" = "show hostnames node[7-8]" ] && printf "node7\\nnode8\\n"\n'
    )
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    slurm = dict(
        SLURM_PROCID="0", SLURM_NTASKS="2", SLURM_LOCALID="0", SLURM_JOB_NODELIST="node[7-8]"
    )
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    ranks.name("slurm")
    assert os.environ["MASTER_ADDR"] == "node7"


def met_at(monkeypatch: pytest.MonkeyPatch, launcher: str, **job: str) -> str:
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    ranks.meet(launcher)
    return os.environ.pop("MASTER_PORT")


@pytest.mark.parametrize(
    ("launcher", "first", "second"),
    [
        (
            "slurm",
            dict(SLURM_JOB_ID="71", SLURM_STEP_ID="0"),
            dict(SLURM_JOB_ID="72", SLURM_STEP_ID="0"),
        ),
        (
            "slurm",
            dict(SLURM_JOB_ID="71", SLURM_STEP_ID="0"),
            dict(SLURM_JOB_ID="71", SLURM_STEP_ID="1"),
        ),
        (
            "mpi",
            dict(PMIX_NAMESPACE="prterun-node7-81@1"),
            dict(PMIX_NAMESPACE="prterun-node7-82@1"),
        ),
    ],
)
def test_each_job_meets_at_a_port_of_its_own_that_all_its_ranks_know(
    monkeypatch: pytest.MonkeyPatch, launcher: str, first: dict, second: dict
) -> None:
    one, again, other = (met_at(monkeypatch, launcher, **job) for job in (first, first, second))
    assert one == again != other
    # a system hands out those above by itself
    assert {int(one), int(other)} <= set(range(1024, 32768))


def test_a_port_that_somebody_names_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", "1234")
    assert met_at(monkeypatch, "slurm", SLURM_JOB_ID="71") == "1234"


def test_mpi_on_one_machine_needs_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    met_at(monkeypatch, "mpi", OMPI_COMM_WORLD_SIZE="4", OMPI_COMM_WORLD_LOCAL_SIZE="2")
    assert "MASTER_ADDR" not in os.environ
    met_at(monkeypatch, "mpi", OMPI_COMM_WORLD_LOCAL_SIZE="4")
    assert socket.gethostbyname(os.environ["MASTER_ADDR"]) == "127.0.0.1"
