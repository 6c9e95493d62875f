"""Which GPUs the trainings of a worker see: each worker of a machine has its own."""

import shutil
import subprocess
from collections.abc import Mapping

from mmext.search.tuner.settings import Settings


def environment(index: int, settings: Settings, given: Mapping[str, str]) -> dict[str, str]:
    """Variables for the trainings of a worker.

    Args:
        index: of the worker on its machine.
        settings: how many workers, and ranks of a trial.
        given: this process's variables.

    Example:
        >>> environment(1, Settings(workers=2, ranks=2), {"CUDA_VISIBLE_DEVICES": "0,1,2,3"})
        {'CUDA_VISIBLE_DEVICES': '2,3'}
    """
    if settings.workers == 1:
        return {}
    found = all_devices(given)
    if not found:
        return {}
    begin = index * settings.ranks
    chosen = [found[(begin + rank) % len(found)] for rank in range(settings.ranks)]
    return {"CUDA_VISIBLE_DEVICES": ",".join(dict.fromkeys(chosen))}


def all_devices(given: Mapping[str, str]) -> list[str]:
    """Names of the GPUs that this process sees, without importing torch."""
    if "CUDA_VISIBLE_DEVICES" in given:
        return [one for one in given["CUDA_VISIBLE_DEVICES"].split(",") if one]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True).stdout
    return [str(index) for index, _ in enumerate(listed.splitlines())]
