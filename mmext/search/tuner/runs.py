"""One training in a process of its own: started, watched through its report, ended.

The stock tool runs it: mmengine keeps loggers and other instances by name in a process, its
Runner returns no metric, and a GPU's memory is freed for sure only when a process ends.
"""

import contextlib
import ctypes
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPORT, LOG, CONFIG, STATE = "report.jsonl", "train.log", "config.py", "segment.pth"
PAUSE = 0.05  # seconds between two looks at a short trial; a tenth of its age, up to half a second
GRACE = 10.0  # seconds that a process has to end before it is killed
PR_SET_PDEATHSIG = 1


@functools.cache
def leash() -> list[str]:
    """What stands before a command line that is to end with its parent, even by SIGKILL.

    Where a program does it, Python need not copy itself to start another process.
    """
    tool = shutil.which("setpriv") if sys.platform == "linux" else None
    known = tool and b"--pdeathsig" in subprocess.run([tool, "--help"], capture_output=True).stdout
    return [tool, "--pdeathsig", "TERM"] if tool and known else []


@dataclass
class Report:
    """What a trial has told so far.

    Args:
        evaluations: each with ``step``, ``of`` and ``metrics``.
        params: of the model; None before training.
        done: whether training came to its end.
    """

    evaluations: list[dict[str, Any]] = field(default_factory=list)
    params: int | None = None
    done: bool = False
    offset: int = 0

    def read(self, file: Path) -> list[dict[str, Any]]:
        """Take up whole lines that are new; returns the evaluations among them."""
        try:
            with file.open("rb") as source:
                source.seek(self.offset)
                data = source.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        new = []
        for line in map(json.loads, whole.splitlines()):
            self.params = line.get("params", self.params)
            self.done |= line.get("done", False)
            new += [line] if "metrics" in line else []
        self.evaluations += new
        return new


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Args:
        state: ``done``, ``stopped`` by who watched, or ``failed``.
        report: what it told.
        seconds: that it took.
        reason: why it failed; empty otherwise.
    """

    state: str
    report: Report
    seconds: int | float
    reason: str = ""


def command(
    folder: Path, *, ranks: int = 1, script: str | None = None, verify: bool = True
) -> list[str]:
    """The stock tool's command line for a trial's config.

    Args:
        folder: of the trial; its config lies there.
        ranks: processes; more than one through torch.distributed.run.
        script: another tool than ``mmext train``, which takes CONFIG and --work-dir.
        verify: whether the tool looks at data and weights first.
    """
    tool = [script] if script else ["-m", "mmext", "train"]
    flags = ["--work-dir", str(folder)]
    if not script and not verify:
        flags.append("--no-verify")
    if ranks == 1:
        return [sys.executable, "-u", *tool, str(folder / CONFIG), *flags]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)]
    return [sys.executable, *launch, *tool, str(folder / CONFIG), *flags, "--launcher", "pytorch"]


def train(
    folder: Path,
    line: list[str],
    *,
    watch: Callable[[Report, dict[str, Any]], bool] = lambda report, new: False,
    beat: Callable[[], None] = lambda: None,
    limit_s: int | float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a training to its end, or until ``watch`` says stop.

    Args:
        folder: of the trial: report and log lie there.
        line: command line.
        watch: called with each new evaluation; True ends the training.
        beat: called all the time.
        limit_s: seconds after which the trial has failed.
        environment: variables beside this process's own.
    """
    begun, report = time.monotonic(), Report()
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [*leash(), *line],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            preexec_fn=None if leash() else die_with_parent,
        )
    try:
        ended = _wait(process, folder, report, watch, beat, limit_s)
    finally:
        end(process)
    seconds = time.monotonic() - begun
    if ended == "stopped":
        return Outcome("stopped", report, seconds)
    for new in report.read(folder / REPORT):
        watch(report, new)  # it has ended anyway, but who watches wants to know of each evaluation
    if ended == "late":
        return Outcome("failed", report, seconds, f"took longer than {limit_s:g} s")
    if process.returncode != 0:
        return Outcome("failed", report, seconds, reason_of(folder, process.returncode))
    return Outcome("done", report, seconds)


def _wait(
    process: subprocess.Popen,
    folder: Path,
    report: Report,
    watch: Callable[[Report, dict[str, Any]], bool],
    beat: Callable[[], None],
    limit_s: int | float | None,
) -> str:
    begun = time.monotonic()
    while True:
        beat()
        age = time.monotonic() - begun
        if _ends_within(process, min(max(PAUSE, age / 10), 0.5)):
            return "ended"
        for new in report.read(folder / REPORT):
            if watch(report, new):
                return "stopped"
        if limit_s is not None and age > limit_s:
            return "late"


def _ends_within(process: subprocess.Popen, seconds: float) -> bool:
    """Wait for a process, but not for longer; the kernel says at once when it ends."""
    if process.poll() is None:
        try:
            handle = os.pidfd_open(process.pid)
        except (AttributeError, OSError):  # no Linux, or an old one: Python looks now and then
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            return process.returncode is not None
        try:
            select.select([handle], [], [], seconds)
        finally:
            os.close(handle)
    return process.poll() is not None


def end(process: subprocess.Popen) -> None:
    """End a process and all that it has started: first kindly."""
    for sign, grace in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        if process.poll() is not None:
            break
        try:
            os.killpg(process.pid, sign)
            process.wait(grace)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    try:
        os.killpg(process.pid, signal.SIGKILL)  # workers of its data loader
    except (ProcessLookupError, PermissionError):
        return


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies, even by SIGKILL; called in the child."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def reason_of(folder: Path, status: int) -> str:
    """Why a training failed: the last line of its log that says something."""
    said = tail(folder / LOG)
    last = next((line for line in reversed(said) if "rror" in line), said[-1] if said else "")
    how = f"signal {-status}" if status < 0 else f"status {status}"
    return f"{last.strip()[:400] or 'no word'} ({how})"


def tail(file: Path, lines: int = 20) -> list[str]:
    """The last lines of a log that are not empty."""
    try:
        with file.open("rb") as source:
            source.seek(max(0, file.stat().st_size - (1 << 14)))
            text = source.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]
