"""Everything that only a machine with a GPU can tell, in one command of at most ten minutes.

    python -m dev.gpu_check                  every part; writes docs/evidence/gpu.json
    python -m dev.gpu_check --device cpu     the same steps without a GPU: a rehearsal, not a result

Each registered part is looked at in the smallest config that uses it, as in the contract suite: one
training step on the device equals the step on the CPU; our parts in float16 with a loss scale and
in bfloat16 come close to float32; the device is waited for as often as was counted; torch.compile
changes nothing; two ranks equal one process where there are two GPUs. The rows of dev/benchmarks
follow. What the time does not suffice for is listed as left out. Exit code 1: a check failed.
"""

import argparse
import json
import multiprocessing as mp
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

from dev.gpu_check.checks import ALONE, CHECKS, ROOT
from tests.contract.parts import small_configs

RESULT = ROOT / "docs/evidence/gpu.json"


def main() -> None:
    """Run all checks, print a line each, and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to rehearse (default cuda)")
    parser.add_argument("--minutes", type=float, default=10, help="time for all of it (default 10)")
    parser.add_argument(
        "--jobs", type=int, default=1, help="configs looked at side by side, a process each"
    )
    parser.add_argument(
        "--only", nargs="+", choices=CHECKS, default=list(CHECKS), help="default: all"
    )
    parser.add_argument(
        "--configs", nargs="+", metavar="NAME", help="part of a small config's name"
    )
    parser.add_argument(
        "--json", type=Path, help=f"default: {RESULT.relative_to(ROOT)}; none on a CPU"
    )
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error(
            "expected a GPU that torch can use, and found none; python tools/doctor.py says why, "
            "--device cpu rehearses without one"
        )
    paths = [
        p
        for p in small_configs()
        if not args.configs or any(word in p.stem for word in args.configs)
    ]
    if not paths:
        parser.error(
            f"no small config has {args.configs} in its name; there are {names(small_configs())}"
        )
    deadline = time.monotonic() + args.minutes * 60
    file = args.json or (RESULT if args.device == "cuda" else None)
    about = machine(args.device)
    found: dict[str, dict[str, dict]] = {}
    for what in (one for one in CHECKS if one in args.only):
        found[what] = {}
        for some in rows(what, paths, args.device, deadline, args.jobs):
            found[what] |= some
            if file:  # after each, so that a run that is ended leaves what it has found
                file.write_text(json.dumps(dict(machine=about, checks=found), indent=1) + "\n")
    failed = [
        f"{what} of {name}"
        for what, of_configs in found.items()
        for name, row in of_configs.items()
        if not row["ok"]
    ]
    print(f"gpu-check: {len(failed)} failed" + "".join(f"\n  {one}" for one in failed))
    sys.exit(bool(failed))


def rows(
    what: str, paths: list[Path], device: str, deadline: float, jobs: int
) -> Iterator[dict[str, dict]]:
    """What a check finds, as it is found; of several configs at once where it takes no times."""
    if what in ALONE:
        yield CHECKS[what](paths, device, deadline)
    elif jobs == 1:
        for path in paths:
            yield CHECKS[what]([path], device, deadline)
    else:
        threads = max(1, torch.get_num_threads() // jobs)
        spawn = mp.get_context("spawn")
        with ProcessPoolExecutor(jobs, spawn, torch.set_num_threads, (threads,)) as pool:
            begun = [pool.submit(CHECKS[what], [path], device, deadline) for path in paths]
            for one in as_completed(begun):
                yield one.result()


def names(paths: list[Path]) -> str:
    """The configs' names in one line."""
    return ", ".join(path.stem for path in paths)


def machine(device: str) -> dict[str, Any]:
    """What the numbers were taken on."""
    found = dict(
        device=torch.cuda.get_device_name()
        if device == "cuda"
        else f"{platform.machine()} processor",
        devices=torch.cuda.device_count() if device == "cuda" else 1,
        cuda=torch.version.cuda if device == "cuda" else None,
        python=platform.python_version(),
        torch=torch.__version__,
        commit=os.environ.get("MMEXT_COMMIT") or commit(),
    )
    if device == "cuda":
        found["memory_gb"] = round(torch.cuda.get_device_properties(0).total_memory / 1e9)
    return found


def commit() -> str:
    """The checkout's commit, with a plus if files differ from it; unknown outside of git."""
    words = ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
