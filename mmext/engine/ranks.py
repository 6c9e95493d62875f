"""Which rank a process is, and where the ranks meet, before anything is initialised.

Hosts    mmengine and torch read these variables; slurm and mpi set others
Ports    mmengine lets all jobs of a machine meet at 29500, so the second one fails. A job takes a port made
         of what tells it from the others, which all of its ranks know without asking.
"""

import os
import subprocess
import zlib
from typing import Any

RANK = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
JOB = {
    "slurm": ("SLURM_JOB_ID", "SLURM_STEP_ID"),
    "mpi": ("OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE", "PMI_ID"),
}
"""What tells a launcher's jobs apart."""
PORTS = range(20000, 32000)
"""Below those that a system hands out by itself, from 32768 on."""


def rank() -> int:
    """Return this process's rank."""
    return next((int(os.environ[name]) for name in RANK if name in os.environ), 0)


def name(launcher: str) -> None:
    """Translate what slurm and mpi say about ranks into the variables that torch reads."""
    env = os.environ
    if launcher == "slurm":
        env.update(RANK=env["SLURM_PROCID"], WORLD_SIZE=env["SLURM_NTASKS"], LOCAL_RANK=env["SLURM_LOCALID"])
        if "MASTER_ADDR" not in env:
            command = ["scontrol", "show", "hostnames", env["SLURM_JOB_NODELIST"]]
            hosts: Any = subprocess.run(command, check=True, capture_output=True, text=True)
            env["MASTER_ADDR"] = hosts.stdout.split()[0]
    elif launcher == "mpi":
        for one in ("RANK", "LOCAL_RANK"):
            env[one] = env[f"OMPI_COMM_WORLD_{one}"]
        env["WORLD_SIZE"] = env["OMPI_COMM_WORLD_SIZE"]


def meet(launcher: str) -> None:
    """Set ``MASTER_PORT`` where nobody has: the same in every rank of a job, another for the next job.

    torchrun sets it; mmengine and we read it. mpi says no address either, which one machine can do without.
    """
    one_machine = os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == os.environ.get("OMPI_COMM_WORLD_SIZE")
    if launcher == "mpi" and one_machine:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    said = [os.environ[key] for key in JOB.get(launcher, ()) if key in os.environ]
    port = PORTS[zlib.crc32(".".join(said).encode()) % len(PORTS)] if said else 29500
    os.environ.setdefault("MASTER_PORT", str(port))
