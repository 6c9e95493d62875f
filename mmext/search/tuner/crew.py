"""Several workers: processes of this machine, or tasks of a Ray cluster."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mmext.errors import BadInputError
from mmext.search.tuner import runs, worker
from mmext.search.tuner.plan import Plan

MODULE = "mmext.search.tuner.worker"
NEW_STARTS = 3
"""Times that a worker which was killed is started again, each."""


def command(work_dir: Path, index: int, deadline: int | float | None) -> list[str]:
    """The command line of a worker."""
    until = [] if deadline is None else ["--deadline", str(deadline)]
    return [sys.executable, "-m", MODULE, str(work_dir), "--index", str(index), *until]


def run_local(plan: Plan, deadline: int | float | None, pause: int | float = 0.2) -> None:
    """Start the workers of this machine and wait for them; one that is killed starts again.

    Raises:
        BadInputError: the sentence with which one ended.
    """
    crew = {index: _start(plan, index, deadline) for index in range(plan.settings.workers)}
    starts = dict.fromkeys(crew, 0)
    try:
        while crew:
            time.sleep(pause)
            for index, process in list(crew.items()):
                status = process.poll()
                if status is None:
                    continue
                del crew[index]
                if status < 0 and starts[index] < NEW_STARTS:
                    starts[index] += 1
                    crew[index] = _start(plan, index, deadline)
                elif status > 0:
                    raise BadInputError(_sentence(plan.work_dir, index))
    finally:
        for process in crew.values():
            process.send_signal(signal.SIGTERM)
        for process in crew.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _start(plan: Plan, index: int, deadline: int | float | None) -> subprocess.Popen:
    with _log(plan.work_dir, index).open("ab") as log:
        line = command(plan.work_dir, index, deadline)
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _log(work_dir: Path, index: int) -> Path:
    return work_dir / f"worker_{index}.log"


def _sentence(work_dir: Path, index: int) -> str:
    """With which a worker ended."""
    said = _log(work_dir, index).read_text(errors="replace").splitlines()
    last = next((line for line in reversed(said) if line.startswith("error: ")), "")
    return last.removeprefix("error: ") or f"{_log(work_dir, index)}: a worker broke; see there"


def run_ray(plan: Plan, deadline: int | float | None, ray: Any = None) -> None:
    """Hand the workers to a Ray cluster that is there; all its machines see the work folder.

    Args:
        plan: what the search is.
        deadline: by ``time.time()``; no trial is begun later.
        ray: the package; None imports it.

    Raises:
        BadInputError: it is not installed, no cluster is there, or a worker ended with an error.
    """
    ray = ray or _import_ray()
    try:
        ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), ignore_reinit_error=True)
    except ConnectionError as error:
        raise BadInputError(
            f"engine: expected a Ray cluster, got {' '.join(str(error).split())[:200]}; start one "
            "with ray start --head, or leave --engine out"
        ) from error
    worker.quit_on_signal()  # Ray has put a handler of its own in its place, which aborts
    gpus = plan.settings.ranks if ray.cluster_resources().get("GPU") else 0
    # Ray has chosen the devices; each task has its own, so every worker is the first.
    line = command(plan.work_dir.resolve(), 0, deadline)
    # Ray starts its processes elsewhere, and data lie where this one stands.
    place, path = os.getcwd(), os.environ.get("PYTHONPATH", "")

    @ray.remote(num_cpus=plan.settings.ranks, num_gpus=gpus, max_retries=NEW_STARTS)
    def work() -> tuple[int, str]:
        return run_again([sys.executable, *line[1:]], place, path)

    try:
        ended = ray.get([work.remote() for _ in range(plan.settings.workers)])
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInputError(
            f"engine: expected Ray to run the workers, got {said[-1].strip()[:300]}; see to the "
            "cluster, and go on with --resume"
        ) from error
    for status, said in ended:
        if status:
            last = next((one for one in reversed(said.splitlines()) if one.strip()), "no word")
            raise BadInputError(last.removeprefix("error: "))


def run_again(line: list[str], place: str, path: str) -> tuple[int, str]:
    """Run a worker, again where it is killed; returns its status and the end of what it said.

    Args:
        line: command line.
        place: folder in which it runs.
        path: ``PYTHONPATH``.
    """
    for _ in range(1 + NEW_STARTS):
        done = subprocess.run(
            line,
            cwd=place,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            preexec_fn=runs.die_with_parent,  # Ray kills the processes of a search that ends
        )
        if done.returncode >= 0:
            break
    return done.returncode, done.stderr[-2000:]


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise BadInputError(
            f"engine: expected the package ray, got {error}; pip install 'mmext[ray]', or leave "
            "--engine out"
        ) from error
    return ray
