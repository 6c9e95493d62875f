"""The workers of a search on a real Ray cluster, of this machine alone."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.fresh_process import ROOT
from tests.search.tuner.crews import attempts, check, wait_for
from tests.search.tuner.plans import CFG, begin, plan_of

pytestmark = pytest.mark.slow  # the cluster alone takes half a minute to begin


@pytest.fixture
def cluster(monkeypatch):
    """A cluster whose address is in the environment."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("the package ray is not installed: pip install 'mmext[ray]'")
    if "RAY_ADDRESS" in os.environ:  # one that is there
        yield
        return
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        words = ["--head", "--port=0", "--num-cpus=2", "--include-dashboard=false", "--block"]
        words += ["--disable-usage-stats", f"--temp-dir={folder}", "--node-ip-address=127.0.0.1"]
        words += ["--object-store-memory=80000000"]
        head = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *words],
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,  # not where the search stands
        )
        try:
            said = next(line for line in head.stdout if "--address=" in line)
            monkeypatch.setenv("RAY_ADDRESS", said.partition("--address=")[2].strip().strip("\"'"))
            yield
        finally:
            head.terminate()
            head.wait(60)


def parent_of(process):
    """The number of the process that has started another one."""
    words = Path(f"/proc/{process}/status").read_text().split()
    return int(words[words.index("PPid:") + 1])


SEARCH = """
import sys
from pathlib import Path
from mmext.search.tuner import crew, plan
crew.run_ray(plan.load(Path(sys.argv[1])), None)
"""


@pytest.mark.usefixtures("cluster")
def test_a_worker_and_a_process_of_ray_are_killed_and_nothing_is_lost(tmp_path):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    plan = plan_of(
        tmp_path, cfg={**CFG, "pause": 0.4}, trials=8, workers=2, engine="ray", method="random"
    )
    study = begin(plan)
    search = subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(tmp_path)], env={**os.environ, "PYTHONPATH": path}
    )
    killed = []

    def worker_in_training():
        for one in study.get_trials():
            owner = one.user_attrs.get("owner", {}).get("pid")
            begun = one.state == TrialState.RUNNING and attempts(tmp_path, one.number)
            if begun and owner not in killed:
                return owner
        return None

    killed.append(wait_for(worker_in_training))
    os.kill(killed[0], signal.SIGKILL)
    killed.append(wait_for(worker_in_training))
    os.kill(parent_of(killed[1]), signal.SIGKILL)
    assert search.wait(250) == 0
    assert len(check(tmp_path, study, asked=8)) == 2
