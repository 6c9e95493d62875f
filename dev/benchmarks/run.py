"""Ours against upstream's on equal weights and inputs: time, bytes, operators, FLOPs, peak memory.

    python -m dev.benchmarks.run                 every row
    python -m dev.benchmarks.run gfl/qfl         one row
    python -m dev.benchmarks.run --json out.json

Each measurement is a process of its own with one thread; the two sides take turns, and what is
printed is the ratio of medians. Times on a shared machine lie: run nothing beside it and trust
ratios only. Bytes, operators and FLOPs are exact; the tests assert them. Rows live beside this
file.
"""

import argparse
import importlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prettytable import PrettyTable, TableStyle

ROWS = {  # row: module of this folder with a function of that name
    "gfl/qfl": "gfl",
    "gfl/dfl": "gfl",
    "gfl/loss_by_feat": "gfl",
    "gfl/predict": "gfl",
    "gfl_v2/forward": "gfl_v2",
    "iou_balanced/loss_by_feat": "iou_balanced",
    "iou_balanced/weights": "iou_balanced",
    "atss/one": "atss",
    "atss/few": "atss",
    "atss/many": "atss",
    "detecto_rs/sac_layer": "sac",
    "detecto_rs/sac_plain_layer": "sac",
    "detecto_rs/sac_plain_strided": "sac",
    "detecto_rs/sac_plain_deep": "sac",
    "detecto_rs/sac_inference": "detecto_rs",
    "detecto_rs/sac_training": "detecto_rs",
    "detecto_rs/step_checkpoint": "detecto_rs",
    "detecto_rs/stem_reuse": "detecto_rs",
    "swn/faster_rcnn": "sample_weighting",
    "swn/retinanet": "sample_weighting",
    "dnl/attention_inference": "dnl",
    "dnl/attention_training": "dnl",
    "dnl/head_large": "dnl",
    "ema/unit": "ema",
    "stm/temporal_inference": "stm",
    "stm/temporal_training": "stm",
    "stm/backbone": "stm",
    "fbnetv3/forward": "fbnetv3",
    "fbnetv3/training": "fbnetv3",
    "residual_labels/loss": "residual_labels",
    "real_labels/metric": "real_labels",
    "autohas/step": "autohas",
    "autohas/five_updates": "autohas",
    "fastpose/keypoint_head": "fastpose",
    "fastpose/tracker": "fastpose",
    "fastpose/metric": "fastpose",
    "search/overhead": "search",
    "ts3/decode": "ts3",
    "ts3/step": "ts3",
    "ts3/step_separate": "ts3",
    "self_training/policy_v0": "policy_v0",
    "self_training/step": "self_training",
    "self_training/memory": "self_training",
    "ops/nms_1000_torchvision": "ops",
    "ops/nms_1000_torch": "ops",
    "ops/nms_20000_torchvision": "ops",
    "ops/nms_20000_torch": "ops",
    "ops/roi_align_torchvision": "ops",
    "ops/roi_align_torch": "ops",
    "ops/deform_conv_torchvision": "ops",
    "ops/deform_conv_torch": "ops",
}
ROOT = Path(__file__).parents[2]
SIDES = ("ours", "upstream")
COLUMNS = {  # key: heading, factor to the printed unit
    "seconds": ("ms", 1e3),
    "kept_bytes": ("kept MB", 1e-6),
    "operators": ("operators", 1),
    "flops": ("MFLOP", 1e-6),
    "peak_bytes": ("extra peak MB", 1e-6),
}


def main() -> None:
    """Measure the chosen rows and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "rows", nargs="*", metavar="row", help=f"any of {', '.join(ROWS)}; default: all"
    )
    parser.add_argument("--turns", type=int, default=3, help="processes a side (default 3)")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="timed a process at least (default 2)"
    )
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    parser.add_argument("--device", default="cpu", help="where the tensors lie (default cpu)")
    parser.add_argument(
        "--measure", choices=SIDES, help="this side alone, here; a line of JSON for each row"
    )
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"unknown row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if args.measure:
        for row in args.rows or ROWS:
            print(json.dumps(outcome(row, args.measure, args.seconds, args.device)), flush=True)
        return
    results = {
        row: take_turns(row, args.turns, args.seconds, args.device) for row in args.rows or ROWS
    }
    print(table(results))
    if args.json:
        args.json.write_text(
            json.dumps(dict(machine=machine(args.device), rows=results), indent=1) + "\n"
        )


def take_turns(
    row: str, turns: int, seconds: float, device: str = "cpu"
) -> dict[str, dict[str, float]]:
    """Median of each number over alternating processes."""
    found: dict[str, list[dict]] = {side: [] for side in SIDES}
    for _ in range(turns):
        for side in SIDES:
            command = [sys.executable, "-m", "dev.benchmarks.run", row, "--measure", side]
            command += ["--seconds", str(seconds), "--device", device]
            env = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
            done = subprocess.run(
                command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True
            )
            one = json.loads(done.stdout.splitlines()[-1])
            if "error" in one:
                sys.exit(
                    f"error: {row}, {side}: {one['error']}; {' '.join(command[1:])} repeats it"
                )
            found[side].append(one)
    return {
        side: {key: statistics.median(r[key] for r in runs) for key in COLUMNS}
        for side, runs in found.items()
    }


def outcome(row: str, side: str, seconds: float, device: str) -> dict[str, Any]:
    """What :func:`measure` finds, or its error: one row's fault must not hide the others."""
    try:
        return dict(row=row, **measure(row, side, seconds, device))
    except Exception as error:
        traceback.print_exc()
        return dict(row=row, error=f"{type(error).__name__}: {error}".splitlines()[0])


def measure(row: str, side: str, seconds: float, device: str = "cpu") -> dict[str, float]:
    """One side of one row, in this process."""
    import torch
    from torch.utils.benchmark import Timer

    from mmext.measure import bytes_kept_for_backward, flops, most_bytes_kept, num_operators

    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.device(device):
        case = getattr(importlib.import_module(f"dev.benchmarks.{ROWS[row]}"), row.split("/")[1])(
            side
        )
        peak = extra_peak(case.run, device)
        timed = Timer("run()", globals=dict(run=case.run)).blocked_autorange(min_run_time=seconds)
        kept = (
            bytes_kept_for_backward(case.forward)
            if case.in_turn is None
            else most_bytes_kept(case.run, besides=case.in_turn)
        )
        return dict(
            seconds=timed.median,  # the timer waits for a GPU before and after
            kept_bytes=kept,
            operators=num_operators(case.run),
            flops=flops(case.run),
            peak_bytes=peak,
        )


def extra_peak(run: Callable[[], Any], device: str) -> int:
    """Bytes that a call needs at most beyond what is there before: of the process, or the GPU."""
    import torch

    if not device.startswith("cuda"):
        baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run()
        # Linux counts in KiB. A process knows its highest peak alone: of several rows the first
        # counts.
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - baseline) * 1024
    run()  # kernels and their work space are there from the first call on
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    baseline = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - baseline


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """A Markdown table: ours, upstream and their ratio, row by row."""
    found = PrettyTable(
        ["row", *(f"{name} ours / upstream = ratio" for name, _ in COLUMNS.values())]
    )
    found.set_style(TableStyle.MARKDOWN)
    found.align = "l"
    for row, sides in results.items():
        cells = [
            cell(sides["ours"][key], sides["upstream"][key], unit)
            for key, (_, unit) in COLUMNS.items()
        ]
        found.add_row([row, *cells])
    return found.get_string()


def cell(ours: float, upstream: float, unit: float) -> str:
    """``1.2 / 2.4 = 0.50``, or a dash where neither side has any."""
    if not ours and not upstream:
        return "-"
    ratio = f"{ours / upstream:.2f}" if upstream else "∞"
    return f"{ours * unit:,.4g} / {upstream * unit:,.4g} = {ratio}"


def machine(device: str = "cpu") -> dict[str, str]:
    """What the numbers were taken on."""
    import torch

    name = torch.cuda.get_device_name() if device.startswith("cuda") else platform.machine()
    return dict(
        processor=name, python=platform.python_version(), torch=torch.__version__, threads="1"
    )


if __name__ == "__main__":
    main()
