"""Ours against upstream's on the same weights and inputs: time, bytes, operators, FLOPs, peak memory.

    python -m dev.benchmarks.run                 every row
    python -m dev.benchmarks.run gfl/qfl         one row
    python -m dev.benchmarks.run --json out.json

Each measurement is a process of its own with one thread; the two sides take turns, and what is printed
is the ratio of medians. Times on a shared machine lie: run nothing beside it and trust ratios only.
Bytes, operators and FLOPs are exact; the tests assert them. Rows live beside this file.
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
from pathlib import Path

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
    parser.add_argument("rows", nargs="*", metavar="row", help=f"any of {', '.join(ROWS)}; default: all")
    parser.add_argument("--turns", type=int, default=3, help="processes a side (default 3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="timed a process at least (default 2)")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    parser.add_argument("--measure", choices=SIDES, help=argparse.SUPPRESS)  # the inner process
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"unknown row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if args.measure:
        print(json.dumps(measure(args.rows[0], args.measure, args.seconds)))
        return
    results = {row: take_turns(row, args.turns, args.seconds) for row in args.rows or ROWS}
    print(table(results))
    if args.json:
        args.json.write_text(json.dumps(dict(machine=machine(), rows=results), indent=1) + "\n")


def take_turns(row: str, turns: int, seconds: float) -> dict[str, dict[str, float]]:
    """Median of each number over alternating processes."""
    found: dict[str, list[dict]] = {side: [] for side in SIDES}
    for _ in range(turns):
        for side in SIDES:
            command = [sys.executable, "-m", "dev.benchmarks.run", row, "--measure", side]
            command += ["--seconds", str(seconds)]
            env = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
            done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        side: {key: statistics.median(r[key] for r in runs) for key in COLUMNS}
        for side, runs in found.items()
    }


def measure(row: str, side: str, seconds: float) -> dict[str, float]:
    """One side of one row, in this process."""
    import torch
    from torch.utils.benchmark import Timer

    from mmext.measure import bytes_kept_for_backward, flops, num_operators

    torch.set_num_threads(1)
    torch.manual_seed(0)
    case = getattr(importlib.import_module(f"dev.benchmarks.{ROWS[row]}"), row.split("/")[1])(side)
    baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    case.run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - baseline
    timed = Timer("run()", globals=dict(run=case.run)).blocked_autorange(min_run_time=seconds)
    return dict(
        seconds=timed.median,
        kept_bytes=bytes_kept_for_backward(case.forward),
        operators=num_operators(case.run),
        flops=flops(case.run),
        peak_bytes=peak * 1024,  # Linux counts in KiB
    )


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """A Markdown table: ours, upstream and their ratio, row by row."""
    found = PrettyTable(["row", *(f"{name} ours / upstream = ratio" for name, _ in COLUMNS.values())])
    found.set_style(TableStyle.MARKDOWN)
    found.align = "l"
    for row, sides in results.items():
        cells = [cell(sides["ours"][key], sides["upstream"][key], unit) for key, (_, unit) in COLUMNS.items()]
        found.add_row([row, *cells])
    return found.get_string()


def cell(ours: float, upstream: float, unit: float) -> str:
    """``1.2 / 2.4 = 0.50``, or a dash where neither side has any."""
    if not ours and not upstream:
        return "-"
    ratio = f"{ours / upstream:.2f}" if upstream else "∞"
    return f"{ours * unit:,.4g} / {upstream * unit:,.4g} = {ratio}"


def machine() -> dict[str, str]:
    """What the numbers were taken on."""
    import torch

    return dict(
        processor=platform.machine(), python=platform.python_version(), torch=torch.__version__, threads="1"
    )


if __name__ == "__main__":
    main()
