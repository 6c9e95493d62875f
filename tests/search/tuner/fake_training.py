"""Stands for tools/train.py where a test is about the search: takes no time, imports nothing.

It takes the plan's config for the trial's base, and reports evaluations. ``behave`` in the config
says what else it does.
"""

import ast
import json
import math
import os
import sys
import time
from pathlib import Path


def main():
    config, folder = Path(sys.argv[1]), Path(sys.argv[3])
    cfg = ast.literal_eval((config.parents[1] / "plan.txt").read_text())["cfg"]
    exec(config.read_text(), cfg)
    report = Path(cfg["default_hooks"]["search_report"]["file"])
    lr = cfg.get("optim_wrapper", {}).get("optimizer", {}).get("lr", 0.01)
    behave = cfg.get("behave", "train")
    seed = cfg["randomness"]["seed"]
    with (folder / "attempts.txt").open("a") as out:
        out.write(f"{os.getpid()} {seed}\n")
    if behave == "fail":
        print("Traceback of something\nValueError: the layer does not fit")
        sys.exit(3)
    if behave == "hang" or "FAKE_HANGS" in os.environ:
        time.sleep(600)
    epochs = cfg.get("train_cfg", {}).get("max_epochs", 4)
    # A part of a training: it goes on from another one's state, which here is its last epoch.
    begun = int(Path(cfg["load_from"]).read_text()) if cfg.get("resume") else 0
    until = cfg["default_hooks"].get("search_segment", {}).get("until", epochs)
    for epoch in range(begun + 1, until + 1):
        score = 1 - (math.log10(lr) + 1) ** 2 / 10 - 1 / (1 + epoch) + (seed % 7) * 1e-3
        metrics = {"top1": math.nan if behave == "nan" else score, "size": lr, "nll": -score}
        metrics = {} if behave == "empty" else metrics
        line = {"step": epoch, "of": epochs, "metrics": metrics}
        with report.open("a") as out:
            out.write(json.dumps(line) + "\n")
        time.sleep(cfg.get("pause", 0))
    (folder / "segment.pth").write_text(str(until))
    with report.open("a") as out:
        out.write(json.dumps({"done": True}) + "\n")


if __name__ == "__main__":
    main()
