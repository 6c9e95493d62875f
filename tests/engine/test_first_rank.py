"""The other ranks wait for the first one's check, longer than the limit of their group would be."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.checkout import REPO

RANK = """
import datetime, os, sys, time, torch
import mmengine.runner  # before there is a group: torch.distributed.nn, which it imports, keeps one
from mmext.engine import ranks

def threads():
    return len(os.listdir("/proc/self/task"))

class Run:
    # Like a host's runner, it refers to itself and to a model on ranks.
    def __init__(self):
        self.runner = self
        self.model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))

def check():
    print("checking", flush=True)
    time.sleep({seconds})
    if {fails}:
        sys.exit("error: no data")

ranks.on_first_rank(check)
print("met", flush=True)
before = threads()
torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=5))
number = torch.ones(1)
torch.distributed.all_reduce(number)
print(int(number), flush=True)
Run()
assert threads() > before
ranks.leave()
print(torch.distributed.is_initialized(), threads() - before, flush=True)
"""


def start(tmp_path: Path, rank: int, port: int, code: str) -> subprocess.Popen:
    env = dict(
        RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), PATH=""
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**env, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(tmp_path: Path, *, seconds: float, fails: bool) -> list[tuple[int, str, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = RANK.format(seconds=seconds, fails=fails)
    pair = [start(tmp_path, rank, port, code) for rank in (0, 1)]
    try:
        ends = [one.communicate(timeout=120) for one in pair]
    finally:
        for one in pair:
            one.kill()
    return [(one.returncode, *end) for one, end in zip(pair, ends, strict=True)]


def test_they_wait_longer_than_the_group_would(tmp_path: Path) -> None:
    first, second = run(tmp_path, seconds=7, fails=False)
    assert first[:2] == (0, "checking\nmet\n2\nFalse 0\n"), first
    assert second[:2] == (0, "met\n2\nFalse 0\n"), second


def test_they_end_when_it_fails(tmp_path: Path) -> None:
    begin = time.monotonic()
    first, second = run(tmp_path, seconds=0, fails=True)
    assert first[:2] == (1, "checking\n")
    assert "error: no data" in first[2]
    assert second[:2] == (1, "")
    assert "Traceback" not in second[2]
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize("rank", [None, "0", "1"])
def test_without_a_meeting_only_the_first_rank_checks(
    monkeypatch: pytest.MonkeyPatch, rank: str | None
) -> None:
    from mmext.engine import ranks

    for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", *ranks.RANK):
        monkeypatch.delenv(name, raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
    called = []
    ranks.on_first_rank(lambda: called.append(1))
    assert called == [1] * (rank != "1")
