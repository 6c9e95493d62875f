"""The demo: fetch real photographs, train a small GFL on a CPU, test it, draw what it finds.

Run ``python -m dev.demo.run`` in the repository's folder. Each step is a command of its own that
can also be run by hand; its full output goes to WORK_DIR/logs. A step that fails ends the demo with
its exit code.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CONFIG = "configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees.py"
WORK_DIR = Path("work_dirs/trees_demo")
VALIDATION = [
    "test_dataloader.dataset.ann_file=annotations/val.json",
    "test_dataloader.dataset.data_prefix.img=val/",
    "test_evaluator.ann_file=data/trees/annotations/val.json",
]
# Unless told otherwise, glibc hands each large tensor's memory back to the system and gets it
# again, zeroed: a third of a training step on a CPU.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_MMAP_THRESHOLD_": str(2**32)}


@dataclass(frozen=True)
class Step:
    """One command of the demo."""

    name: str  # of the log file
    heading: str
    command: list[str]
    show: str = ""  # print only lines that contain this


def steps(work_dir: Path, cfg_options: list[str]) -> Iterator[Step]:
    """The steps in order, lazily: testing needs the name of the checkpoint that training leaves."""
    options = ["--cfg-options", *cfg_options] if cfg_options else []
    yield Step("trees", "Fetch the photographs", ["tools/data/trees.py"])
    yield Step("weights", "Fetch the ImageNet weights", ["tools/data/mobilenet_v2.py"])
    train = ["tools/train.py", CONFIG, "--work-dir", str(work_dir), *options]
    yield Step("train", "Train 400 iterations, 3 to 16 minutes", train, show="Iter(")
    checkpoint = (work_dir / "last_checkpoint").read_text()
    for split, heading, redirect in (
        ("val", "Test on validation", VALIDATION),
        ("test", "Test on sites that training never saw", []),
    ):
        folder = work_dir / split
        test = ["tools/test.py", CONFIG, checkpoint, "--work-dir", str(folder)]
        test += ["--tta", "--out", str(folder / "predictions.pkl")]
        both = [*cfg_options, *redirect]
        yield Step(
            f"test-{split}",
            heading,
            [*test, *(["--cfg-options", *both] if both else [])],
            show="Iter(",
        )
    yield Step("report", "Draw", ["-m", "dev.demo.report", str(work_dir)])


def run(step: Step, logs: Path) -> int:
    """Run a step, show its progress, keep its whole output in a log file; return its exit code."""
    environment = {**KEEP_MEMORY, **os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, *step.command]
    with (
        open(logs / f"{step.name}.log", "w") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            if step.show in line:
                print(line.rstrip(), flush=True)
    return process.returncode


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work-dir", type=Path, default=WORK_DIR, help="default: %(default)s")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], help="overrides for training and tests"
    )
    args = parser.parse_args(argv)
    logs = args.work_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    for number, step in enumerate(steps(args.work_dir, args.cfg_options), start=1):
        print(f"\n== {number}/6 {step.heading}", flush=True)
        start = time.monotonic()
        code = run(step, logs)
        if code != 0:
            log = logs / f"{step.name}.log"
            print(log.read_text()[-3000:], file=sys.stderr)
            print(f"demo: step {number} ({step.heading}) failed; see {log}.", file=sys.stderr)
            sys.exit(code if code > 0 else 1)  # below 0: ended by a signal
        print(f"== {time.monotonic() - start:.0f} s", flush=True)
    print(f"all steps: {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
