"""The journal survives writers that are killed in the middle of a record, and a full disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from mmext.errors import BadInputError
from mmext.search.tuner import journal as journal_module
from mmext.search.tuner import lock as lock_module
from mmext.search.tuner.journal import Journal
from mmext.search.tuner.lock import FileLock
from tests.fresh_process import ROOT

SPACE = {"x": optuna.distributions.FloatDistribution(0, 1)}


def study_of(backend):
    return optuna.create_study(
        storage=JournalStorage(backend), study_name="search", load_if_exists=True
    )


def tell(study, values):
    for value in values:
        study.tell(study.ask(SPACE), value)


def values(file):
    return [one.value for one in study_of(Journal(file)).trials]


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "with space" / "study.journal"
    file.parent.mkdir()
    tell(study_of(Journal(file)), [1.0, 2.0])
    return file


TORN = b'{"op_code":6,"worker_id":"dead","trial_id":1,"sta'


def test_a_torn_end_is_cut_off_with_one_line(file, caplog):
    whole = file.read_bytes()
    file.write_bytes(whole + TORN)
    study = study_of(Journal(file))
    assert len([one for one in caplog.records if "cut off" in one.message]) == 1
    assert f"{len(TORN)} bytes" in caplog.text
    tell(study, [3.0])
    assert values(file) == [1.0, 2.0, 3.0]
    assert all(map(json.loads, file.read_bytes().splitlines()))


def test_it_is_also_mended_by_a_worker_that_was_there_all_along(file):
    """Another worker dies while this one lives: nobody opens the file anew."""
    study = study_of(Journal(file))
    with file.open("ab") as out:
        out.write(TORN)
    tell(study, [3.0, 4.0])
    assert values(file) == [1.0, 2.0, 3.0, 4.0]


def test_a_record_that_lacks_only_its_newline_is_kept(file):
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert values(file) == [1.0, 2.0]
    assert file.read_bytes().startswith(whole)


def test_a_record_glued_to_a_torn_one_is_saved(file, caplog):
    """What stock Optuna leaves after one more append; the readers' offsets stay true."""
    whole = file.read_bytes()
    *before, last = whole.splitlines(keepends=True)
    file.write_bytes(b"".join(before) + TORN + last)
    assert values(file) == [1.0, 2.0]
    assert "took out" in caplog.text
    assert file.stat().st_size >= len(whole) + len(TORN)


@pytest.mark.parametrize("appends", [0, 1])
def test_stock_optuna_loses_such_a_study(file, appends):
    """Why all this: if this fails, Optuna has learnt to mend its journal."""
    with file.open("ab") as out:
        out.write(TORN)
    study = study_of(JournalFileBackend(str(file)))

    def go_on():
        tell(study, [3.0, 4.0][: appends + 1])
        study_of(JournalFileBackend(str(file)))

    with pytest.raises((AttributeError, json.JSONDecodeError, AssertionError)):
        go_on()


def test_zeros_of_a_machine_that_lost_power_are_taken_out(file):
    with file.open("ab") as out:
        out.write(b"\0" * 40 + b"\n")
    assert values(file) == [1.0, 2.0]


def test_a_full_disk_is_one_sentence_and_leaves_the_journal_whole(file, monkeypatch):
    study = study_of(Journal(file))
    before = file.read_bytes()
    write = os.write

    def full(descriptor, data):
        write(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "write", full)
        with pytest.raises(BadInputError, match="No space left on device; make room"):
            study.ask(SPACE)
    assert file.read_bytes() == before
    tell(study, [3.0])
    assert values(file)[:2] == [1.0, 2.0]


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted as root")
def test_a_disk_that_is_really_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        study = study_of(Journal(disk / "study.journal"))
        with pytest.raises(BadInputError, match="No space left on device"):
            tell(study, range(2000))
        # Opening a study writes a record, for which a full disk has room or not, by some bytes.
        kept = shutil.copy(disk / "study.journal", tmp_path)
        assert len(values(Path(kept))) > 10
    finally:
        subprocess.run(["umount", str(disk)], check=True)


HOLD = """
import sys, time
from mmext.search.tuner.lock import FileLock
FileLock(sys.argv[1]).acquire()
print("held", flush=True)
time.sleep(100)
"""


def holder(file):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path):
    process = holder(tmp_path / "x")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "x.lock").is_symlink()
    begun = time.monotonic()
    with FileLock(tmp_path / "x"):
        assert time.monotonic() - begun < 5  # of Optuna's lock: 30


def test_the_lock_of_another_machine_is_respected_until_its_grace(tmp_path):
    (tmp_path / "x.lock").symlink_to("elsewhere:1:2")
    lock = FileLock(tmp_path / "x", grace=0.2)
    begun = time.monotonic()
    with lock:
        assert time.monotonic() - begun >= 0.2
        assert os.readlink(tmp_path / "x.lock").startswith(lock_module.this_machine())
    assert not (tmp_path / "x.lock").is_symlink()


def test_a_link_taken_meanwhile_is_given_back(tmp_path):
    lock = FileLock(tmp_path / "x")
    (tmp_path / "x.lock").symlink_to("somebody:new")
    lock._remove("somebody:old")
    assert os.readlink(tmp_path / "x.lock") == "somebody:new"
