"""Which rank a process is, where ranks meet, what one does for all, before anything is initialised.

Hosts    mmengine and torch read these variables; slurm and mpi set others
Ports    mmengine lets all jobs of a machine meet at 29500, so the second one fails. A job takes a
         port made of what tells it from the others, which all of its ranks know without asking.
Waiting  While the first rank checks, the others wait at torch's own rendezvous, which a group meets
         at later. A group's time limit would run out while a large data set is read.
"""

import datetime
import gc
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import torch

RANK = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
JOB = {
    "slurm": ("SLURM_JOB_ID", "SLURM_STEP_ID"),
    "mpi": ("OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE", "PMI_ID"),
}
"""What tells a launcher's jobs apart."""
PORTS = range(20000, 32000)
"""Below those that a system hands out by itself, from 32768 on."""

MEETING = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables that torch meets by."""
VERDICT = "mmext/inputs"
LIMIT = datetime.timedelta(days=1)

_kept: list[Any] = []
"""The store of the first rank must live until the group has met: the others ask it."""


def rank() -> int:
    """Return this process's rank."""
    return next((int(os.environ[name]) for name in RANK if name in os.environ), 0)


def name(launcher: str) -> None:
    """Translate what slurm and mpi say about ranks into the variables that torch reads."""
    env = os.environ
    if launcher == "slurm":
        env.update(
            RANK=env["SLURM_PROCID"],
            WORLD_SIZE=env["SLURM_NTASKS"],
            LOCAL_RANK=env["SLURM_LOCALID"],
        )
        if "MASTER_ADDR" not in env:
            command = ["scontrol", "show", "hostnames", env["SLURM_JOB_NODELIST"]]
            hosts: Any = subprocess.run(command, check=True, capture_output=True, text=True)
            env["MASTER_ADDR"] = hosts.stdout.split()[0]
    elif launcher == "mpi":
        for one in ("RANK", "LOCAL_RANK"):
            env[one] = env[f"OMPI_COMM_WORLD_{one}"]
        env["WORLD_SIZE"] = env["OMPI_COMM_WORLD_SIZE"]


def meet(launcher: str) -> None:
    """Set ``MASTER_PORT`` if nobody has: the same in every rank of a job, another for the next job.

    torchrun sets it; mmengine and we read it. mpi says no address either, which one machine can do
    without.
    """
    one_machine = os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == os.environ.get(
        "OMPI_COMM_WORLD_SIZE"
    )
    if launcher == "mpi" and one_machine:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    said = [os.environ[key] for key in JOB.get(launcher, ()) if key in os.environ]
    port = PORTS[zlib.crc32(".".join(said).encode()) % len(PORTS)] if said else 29500
    os.environ.setdefault("MASTER_PORT", str(port))


def on_first_rank(check: Callable[[], None]) -> None:
    """Run a check on the first rank; the others return when it has passed, end when it has failed.

    Without a launcher there is one rank. Where torch cannot meet yet, the others go on at once.

    Args:
        check: raises what ends the run.
    """
    world = int(os.environ.get("WORLD_SIZE") or 1)
    if world == 1 or not torch.distributed.is_available() or not all(map(os.environ.get, MEETING)):
        if rank() == 0:
            check()
        return
    store, mine, _ = next(torch.distributed.rendezvous("env://", timeout=LIMIT))
    _kept.append(store)
    # torchrun keeps its store.
    verdict = f"{VERDICT}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
    if mine:
        try:
            passed = store.get(verdict) == b"passed"  # this waits
        except RuntimeError:  # the first rank, which keeps the store, is gone
            passed = False
        if not passed:
            sys.exit(1)
        return
    try:
        check()
    except BaseException:
        store.set(verdict, b"failed")
        raise
    store.set(verdict, b"passed")


def leave() -> None:
    """Leave the group of ranks, where there is one, after all work is done.

    PyTorch ends a gloo group's threads when the last reference to it goes, not before: a process
    that ends with them may abort, and its launcher takes a run for failed that has done all
    (pytorch#190489). A model on ranks refers to the group, and a runner, which refers to itself,
    keeps its model until garbage is collected. Variables that hold a runner have to be gone by now.

    Not for a rank that has failed: it would wait for others, which wait for it.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        group = torch.distributed.group.WORLD
        torch.distributed.destroy_process_group()
        gc.collect()
        # The last reference is ours: a model's, in C++, would keep the interpreter's lock while it
        # waits for threads that may need it.
        del group
