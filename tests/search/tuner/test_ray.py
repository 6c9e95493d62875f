"""The workers of a search on a real Ray cluster, of this machine alone."""

import os
import signal
import subprocess
import sys
import tempfile
import threading

import pytest
from optuna.trial import TrialState

from mmext.search.tuner import crew
from tests.fresh_process import ROOT
from tests.search.tuner.crews import attempts, check, wait_for
from tests.search.tuner.plans import CFG, begin, plan_of

pytestmark = pytest.mark.slow  # the cluster alone takes half a minute to begin


@pytest.fixture
def ray(monkeypatch):
    """The package, and a cluster whose address is in the environment."""
    ray = pytest.importorskip("ray", reason="the package ray is not installed: mmext[ray]")
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        words = ["--head", "--port=0", "--num-cpus=2", "--include-dashboard=false", "--block"]
        words += ["--disable-usage-stats", f"--temp-dir={folder}", "--node-ip-address=127.0.0.1"]
        head = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *words],
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,  # not where the search stands
        )
        try:
            said = next(line for line in head.stdout if "--address=" in line)
            monkeypatch.setenv("RAY_ADDRESS", said.partition("--address=")[2].strip().strip("\"'"))
            threading.Thread(target=head.stdout.read, daemon=True).start()
            yield ray
            ray.shutdown()
        finally:
            head.terminate()
            head.wait(60)


def test_a_worker_and_a_process_of_ray_are_killed_and_nothing_is_lost(ray, tmp_path, monkeypatch):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    plan = plan_of(
        tmp_path, cfg={**CFG, "pause": 0.4}, trials=8, workers=2, engine="ray", method="random"
    )
    study = begin(plan)
    search = threading.Thread(target=crew.run_ray, args=(plan, None), daemon=True)
    search.start()
    killed = []

    def owner_in_training():
        for one in study.get_trials():
            owner = one.user_attrs.get("owner", {}).get("pid")
            if one.state == TrialState.RUNNING and attempts(tmp_path, one.number):
                if owner and owner not in killed:
                    return owner
        return None

    worker = wait_for(owner_in_training)
    os.kill(worker, signal.SIGKILL)
    killed.append(worker)
    worker = wait_for(owner_in_training)
    status = dict(
        line.split(":\t", 1) for line in open(f"/proc/{worker}/status").read().splitlines() if ":\t" in line
    )
    os.kill(int(status["PPid"]), signal.SIGKILL)
    search.join(250)
    assert not search.is_alive()
    assert len(check(tmp_path, study, asked=8)) == 2
