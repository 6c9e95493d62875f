"""The checks: each looks at configs on a device until a deadline, and says a row a config."""

import copy
import json
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from dev.gpu_check.steps import (
    MOST_ROUNDING,
    TOLERANCE,
    SameChance,
    compared,
    exact,
    prepared,
    rounding,
    step,
)
from mmext.engine.ranks import leave
from mmext.measure import host_waits
from tests.contract.half_precision import calls_in_half, faults, without_chance
from tests.contract.parts import host_of

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mmext"


def over(
    paths: list[Path], deadline: float, what: str, check: Callable[[Path], dict]
) -> dict[str, dict]:
    """The outcome of a check for each config; an error is one, and so is a lack of time."""
    found = {}
    for path in paths:
        if time.monotonic() > deadline:
            found[path.stem] = dict(ok=True, left_out="no time was left")
        else:
            try:
                found[path.stem] = check(path)
            except Exception as error:
                traceback.print_exc()
                found[path.stem] = dict(
                    ok=False, error=f"{type(error).__name__}: {error}".splitlines()[0]
                )
        print(f"{what} {path.stem}: {found[path.stem]}", flush=True)
    return found


def parity(paths: list[Path], device: str, deadline: float) -> dict[str, dict]:
    """A step on the device equals one on the CPU, which the tests compare with the formulas.

    Within a tolerance, or twice what weights that differ in their last bit do to the step: of
    MobileNet's ReLU6 and an assigner's thresholds some are met so closely that rounding decides.
    """

    def check(path: Path) -> dict:
        host, model, data = prepared(path, "cpu")
        without_chance(model)  # each device draws its own numbers
        with SameChance():
            expected = step(host, copy.deepcopy(model), copy.deepcopy(data))
        rounded = rounding(host, model, data, expected)
        tolerance = max(TOLERANCE, min(2 * rounded, MOST_ROUNDING))
        with exact(), SameChance():
            found = step(host, model.to(device), data)
        return dict(compared(found, expected, tolerance), rounding=rounded)

    return over(paths, deadline, "parity", check)


def precision(paths: list[Path], device: str, deadline: float) -> dict[str, dict]:
    """Our parts under float16 with a loss scale, and under bfloat16, come close to float32."""

    def check(path: Path) -> dict:
        host = host_of(path)
        if reason := host.why_not_bf16(host.build(path)):
            return dict(ok=True, left_out=reason)
        found: dict[str, Any] = {}
        with exact():
            for dtype in (torch.float16, torch.bfloat16):
                calls = calls_in_half(path, device, dtype)
                off = [fault for call in calls for fault in faults(call, dtype)]
                found[str(dtype).removeprefix("torch.")] = dict(calls=len(calls), off=off)
        return dict(ok=not any(one["off"] for one in found.values()), **found)

    return over(paths, deadline, "precision", check)


def waits(paths: list[Path], device: str, deadline: float) -> dict[str, dict]:
    """How often a step waits for the device: as counted on any device, and as CUDA itself says."""

    def check(path: Path) -> dict:
        host, model, data = prepared(path, device)
        step(host, model, copy.deepcopy(data))  # what the first step alone does does not count
        model.zero_grad(set_to_none=True)
        counted = host_waits(lambda: host.loss(model, copy.deepcopy(data)).backward())
        ours = [
            str(wait).removeprefix(f"{PACKAGE}/")
            for wait in counted
            if wait.file.startswith(f"{PACKAGE}/")
        ]
        found = dict(ok=True, counted=len(counted), in_mmext=ours)
        if device == "cuda":
            model.zero_grad(set_to_none=True)
            places = synchronisations(lambda: host.loss(model, copy.deepcopy(data)).backward())
            found["by_cuda"] = places.total()
            found["most_by_cuda"] = dict(places.most_common(5))
        return found

    return over(paths, deadline, "waits", check)


def synchronisations(run: Callable[[], Any]) -> Counter[str]:
    """Warnings of CUDA about operations that wait for the device, by the line that asks."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return Counter(
        f"{Path(one.filename).parent.name}/{Path(one.filename).name}:{one.lineno}"
        for one in caught
        if "synchronizing CUDA operation" in str(one.message)
    )


def compiled(paths: list[Path], device: str, deadline: float) -> dict[str, dict]:
    """Each module of ours, compiled, takes the same step."""
    backend = "inductor" if device == "cuda" else "aot_eager"

    def check(path: Path) -> dict:
        host, model, data = prepared(path, device)
        without_chance(model)  # compiled code draws its own numbers
        ours = [m for m in model.modules() if type(m).__module__.startswith("mmext.")]
        if not ours:
            return dict(ok=True, left_out="what mmext gives to this config is no module")
        with exact():
            expected = step(host, copy.deepcopy(model), copy.deepcopy(data))
            torch._dynamo.reset()
            for module in ours:
                module.compile(backend=backend)
            found = compared(step(host, model, data), expected, TOLERANCE)
        breaks = sum(torch._dynamo.utils.counters["graph_break"].values())
        return dict(found, graph_breaks=breaks)

    return over(paths, deadline, "torch.compile", check)


def ranks(paths: list[Path], device: str, deadline: float) -> dict[str, dict]:
    """Two ranks, over NCCL on two GPUs, train like one process on the joined batch."""
    if device == "cuda" and torch.cuda.device_count() < 2:
        reason = f"NCCL needs two GPUs, and there is {torch.cuda.device_count()}"
        return {path.stem: dict(ok=True, left_out=reason) for path in paths}

    def check(path: Path) -> dict:
        host, model, _ = prepared(path, device)
        data = host.two_rank_batch(model)
        if data is None:
            return dict(ok=True, left_out="the host's ranks differ from one process by themselves")
        with exact(), tempfile.TemporaryDirectory() as folder:
            expected = step(host, without_chance(model), copy.deepcopy(data))
            mp.spawn(rank_main, args=(path, device, folder), nprocs=2)
            both = [torch.load(Path(folder, f"{rank}.pt"), weights_only=True) for rank in (0, 1)]
        mean = {name: (both[0][1][name] + both[1][1][name]) / 2 for name in expected[1]}
        return compared(((both[0][0] + both[1][0]) / 2, mean), expected, TOLERANCE)

    return over(paths, deadline, "two ranks", check)


def rank_main(rank: int, path: Path, device: str, folder: str) -> None:
    """One of two ranks: its half of the batch."""
    backend = "nccl" if device == "cuda" else "gloo"
    own = f"cuda:{rank}" if device == "cuda" else device
    if device == "cuda":
        torch.cuda.set_device(rank)
    dist.init_process_group(backend, init_method=f"file://{folder}/store", rank=rank, world_size=2)
    host, model, _ = prepared(path, own)
    data = host.two_rank_batch(model)
    half = {key: [values[rank]] for key, values in data.items()}
    with exact():
        torch.save(step(host, without_chance(model), half), Path(folder, f"{rank}.pt"))
    dist.barrier()
    leave()


def benchmarks(paths: list[Path], device: str, deadline: float) -> dict[str, dict]:
    """Every row of dev/benchmarks on the device, a process a side."""
    from dev.benchmarks.run import ROWS, SIDES

    del paths
    rows = [row for row in ROWS if not row.startswith("ops/")]  # those need mmcv's own extension
    sides = {}
    for number, side in enumerate(SIDES):
        left = (deadline - time.monotonic()) / (len(SIDES) - number)
        command = [
            sys.executable,
            "-m",
            "dev.benchmarks.run",
            *rows,
            "--measure",
            side,
            "--device",
            device,
        ]
        command += ["--seconds", "0.2"]
        with tempfile.TemporaryFile("w+") as output:
            try:
                if left > 0:
                    subprocess.run(command, cwd=ROOT, stdout=output, timeout=left, check=False)
            except subprocess.TimeoutExpired:
                print(f"benchmarks of {side}: no time was left", flush=True)
            output.seek(0)
            sides[side] = measured(output)
    found = {}
    for row in rows:
        both = {side: sides[side].get(row, {}) for side in SIDES}
        if errors := [one["error"] for one in both.values() if "error" in one]:
            found[row] = dict(ok=False, error=errors[0])
        elif all(both.values()):
            found[row] = dict(
                ok=True, ratio=both["ours"]["seconds"] / both["upstream"]["seconds"], **both
            )
        else:
            found[row] = dict(ok=True, left_out="no time was left")
        print(f"benchmark {row}: {found[row]}", flush=True)
    return found


def measured(lines: Iterable[str]) -> dict[str, dict]:
    """What a process of dev.benchmarks printed, by row; hosts print lines of their own between."""
    found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]
    return {one.pop("row"): one for one in found if one}


CHECKS: dict[str, Callable[[list[Path], str, float], dict[str, dict]]] = dict(
    parity=parity,
    precision=precision,
    waits=waits,
    ranks=ranks,
    benchmarks=benchmarks,
    compiled=compiled,
)
ALONE = ("ranks", "benchmarks")
"""Checks that need the machine for themselves."""
