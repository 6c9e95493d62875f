"""What a training run starts from: a checkpoint to go on with, or the config's own start.

``--resume`` is given to every start of a job that may be stopped at any time, the first one
included: until there is something to go on from, ``load_from`` counts as if the flag was not there.
"""

from pathlib import Path

from mmengine import dist
from mmengine.config import Config
from mmengine.runner import Runner

from mmext.compat.resuming import newest


def resume(cfg: Config, wanted: str, *, first_rank: bool) -> None:
    """Apply ``--resume``.

    Args:
        cfg: with its ``work_dir``.
        wanted: a checkpoint's path, or ``auto`` for the newest in the work dir.
        first_rank: whether this process decides; what the others find is replaced by its word in
            :func:`agree`.

    Raises:
        BadInputError: the work dir holds checkpoints, and none of them can be read.
    """
    if wanted != "auto":
        cfg.resume, cfg.load_from = True, wanted
        return
    found = newest(cfg.work_dir) if first_rank else None
    cfg.resume = found is not None
    if found is not None:
        # The Runner then looks for the newest itself, and the saved config says so.
        cfg.load_from = None
    elif first_rank:
        start = cfg.get("load_from") or "the weights that the model begins with"
        print(f"--resume: no checkpoint in {cfg.work_dir} to go on from yet, starting from {start}")


def agree(runner: Runner) -> None:
    """Take the first rank's word for what all start from: others may not see the same folder."""
    if not hasattr(runner, "_load_from"):  # somebody's own kind of Runner
        return
    start = [runner._resume, runner._load_from]
    dist.broadcast_object_list(start)
    runner._resume, runner._load_from = start


def file_to_check(cfg: Config) -> str | None:
    """The file that this run will load, if it is a local one.

    Raises:
        BadInputError: it would go on from one, and none can be read.
    """
    file = cfg.get("load_from")
    if cfg.get("resume") and not file:
        file = newest(cfg.work_dir)
    if not file or "://" in file or Path(file).is_dir():
        return None
    return str(file)
