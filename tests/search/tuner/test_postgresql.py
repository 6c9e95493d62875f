"""A study in a real PostgreSQL: a killed worker, and a server that breaks down under one."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from mmext.search.tuner import machine
from mmext.search.tuner.worker import Worker
from tests.search.tuner.crews import attempts, check, start, training_of, wait_for
from tests.search.tuner.plans import CFG, begin, plan_of

DRIVERS = ("psycopg", "psycopg2", "pg8000")


def folder_of_programs():
    """Where initdb and pg_ctl lie; None where PostgreSQL is not installed."""
    places = [shutil.which("pg_ctl"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))]
    folders = [Path(one).parent if one.endswith("pg_ctl") else Path(one) for one in places if one]
    return next((one for one in reversed(folders) if (one / "initdb").exists()), None)


class Server:
    """A server of its own, which listens on a socket in its folder alone."""

    def __init__(self, folder, programs):
        self.folder, self.programs = folder, programs
        # The server refuses to be root.
        names = {one.pw_name for one in pwd.getpwall()}
        self.user = ("postgres" if "postgres" in names else "nobody") if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        words = ["-U", "search", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"]
        self.do("initdb", "-D", "data", *words)
        self.start()

    def do(self, program, *words):
        line = [str(self.programs / program), *words]
        subprocess.run(
            line, cwd=self.folder, user=self.user, check=True, timeout=60, stdout=subprocess.DEVNULL
        )

    def start(self):
        flags = f"-k {self.folder} -c listen_addresses= -c fsync=off"
        self.do("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", flags, "start")

    def stop(self):
        """As if the machine had lost power: what it had not yet written is in its log alone."""
        self.do("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def server():
    programs = folder_of_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: no initdb in PATH or /usr/lib/postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # pytest's own is closed to other users
    try:
        server = Server(folder, programs)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def storage(server):
    driver = next((one for one in DRIVERS if importlib.util.find_spec(one)), None)
    if driver is None:
        pytest.skip(f"no driver of PostgreSQL is installed: one of {', '.join(DRIVERS)}")
    host = {"pg8000": "unix_sock"}.get(driver, "host")
    place = server.folder / (".s.PGSQL.5432" if driver == "pg8000" else "")
    return f"postgresql+{driver}://search@/postgres?{host}={place}"


def test_a_killed_worker_loses_nothing_in_postgresql(tmp_path, storage):
    plan = plan_of(tmp_path, trials=6, method="random", storage=storage)
    study = begin(plan)
    victim = start(tmp_path, FAKE_HANGS="1")
    number = wait_for(lambda: training_of(victim, study, tmp_path)).number
    ((training, _),) = attempts(tmp_path, number)
    other = start(tmp_path)
    victim.send_signal(signal.SIGKILL)
    assert [victim.wait(250), other.wait(250)] == [-signal.SIGKILL, 0]
    assert [one.number for one in check(tmp_path, study, asked=6)] == [number]
    assert machine.is_dead(dict(pid=training, start=0, machine=machine.this_machine()))
    assert not (tmp_path / "study.journal").exists()


@pytest.mark.slow
def test_a_server_that_breaks_down_ends_the_worker_with_a_sentence(tmp_path, server, storage):
    plan = plan_of(tmp_path, cfg={**CFG, "pause": 0.2}, trials=4, method="random", storage=storage)
    study = begin(plan)
    worker = start(tmp_path, log=True)
    wait_for(lambda: len(study.trials) > 1 and training_of(worker, study, tmp_path))
    server.stop()
    said = worker.communicate(timeout=100)[1].decode()
    server.start()
    assert worker.returncode == 1
    last = said.splitlines()[-1]
    assert last.startswith(f"error: storage: expected the database at {storage} to answer, got ")
    assert last.endswith("; see to it, and go on with --resume")
    resumed = begin(plan, resume=True)
    Worker(plan, resumed, pause=0.05).work()
    # The training went on meanwhile, and its result lay in its folder.
    assert check(tmp_path, resumed, asked=4) == []
