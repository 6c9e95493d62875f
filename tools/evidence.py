"""Evidence: the same net and schedule, one thing changed an arm, several seeds; means and spreads.

    python tools/evidence.py trees                      run what is missing, write docs/evidence/trees.json
    python tools/evidence.py trees --table              print the table of that file

Each run is tools/train.py and tools/test.py in processes of their own, with a derived config written beside
its results, so any of them can be repeated by hand. A finished run is not repeated; a failed one stops the
study. Runs of one seed see the same images in the same order.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from report import METRICS, SPLITS, read_metrics
from trees_demo import CONFIG, KEEP_MEMORY, VALIDATION

RESULTS = Path("docs/evidence")
Arm = Callable[[Config], None]


@dataclass(frozen=True)
class Study:
    """One question: a config, and what each arm changes in it."""

    config: str
    arms: Mapping[str, Arm]
    seeds: tuple[int, ...] = (0, 1, 2)


def unchanged(cfg: Config) -> None:
    """Leave the config as it is."""


def host_gfl_head(cfg: Config) -> None:
    """Use mmdet's own head and losses."""
    head = cfg.model.bbox_head
    head.pop("avg_factor_floor", None)
    head.type = "mmdet.GFLHead"
    head.loss_cls.type, head.loss_dfl.type = "mmdet.QualityFocalLoss", "mmdet.DistributionFocalLoss"


def without_weights(cfg: Config) -> None:
    """Start the backbone from random weights."""
    cfg.model.backbone.init_cfg = None


STUDIES = {
    "trees": Study(
        CONFIG,
        {
            "mmext.GFLHead": unchanged,
            "mmdet.GFLHead": host_gfl_head,
            "mmext.GFLHead, no ImageNet weights": without_weights,
        },
    ),
}


def run(study: Study, arm: str, seed: int, folder: Path) -> dict[str, dict[str, float]]:
    """Train and test one arm with one seed, or read what an earlier call found."""
    done = folder / "result.json"
    if done.exists():
        return json.loads(done.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    cfg = Config.fromfile(study.config, import_custom_modules=False)
    study.arms[arm](cfg)
    config = folder / "config.py"
    cfg.dump(config)
    call(folder / "train.log", "tools/train.py", config, "--work-dir", folder, "--seed", seed)
    checkpoint = (folder / "last_checkpoint").read_text()
    for split in SPLITS:
        redirect = ["--cfg-options", *VALIDATION] if split == "val" else []
        call(
            folder / f"{split}.log",
            "tools/test.py",
            config,
            checkpoint,
            "--work-dir",
            folder / split,
            *redirect,
        )
    result: dict = {split: read_metrics(folder, split) for split in SPLITS}
    result["threads"] = os.environ.get("OMP_NUM_THREADS", "default")
    done.write_text(json.dumps(result))
    return result


def call(log: Path, *command: object) -> None:
    """Run a tool with its output in a file; end the study where it fails."""
    words = [sys.executable, *map(str, command)]
    with log.open("w") as out:
        code = subprocess.run(
            words, stdout=out, stderr=subprocess.STDOUT, env=KEEP_MEMORY | os.environ
        ).returncode
    if code:
        sys.exit(
            f"evidence.py: {' '.join(words[1:])} ended with {code}; see {log}, mend it and run this again"
        )


def collect(name: str, seeds: tuple[int, ...], work_dir: Path) -> dict:
    """Run all that is missing and return every number with where it comes from."""
    import torch

    study = STUDIES[name]
    runs: dict[str, dict[str, dict]] = {arm: {} for arm in study.arms}
    for seed in seeds:
        for number, arm in enumerate(study.arms):
            print(f"{name}: seed {seed}, {arm}", flush=True)
            runs[arm][str(seed)] = run(study, arm, seed, work_dir / name / f"arm{number}-seed{seed}")
    return dict(
        command=f"python tools/evidence.py {name}",
        config=study.config,
        machine=f"{os.cpu_count()} CPU cores, {platform.machine()}, no GPU",
        torch=torch.__version__,
        runs=runs,
    )


def table(study: dict) -> str:
    """Mean and sample standard deviation over the seeds, as Markdown."""
    heads = [f"{words} {metric}" for words in SPLITS.values() for metric in METRICS]
    lines = ["| arm | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for arm, seeds in study["runs"].items():
        cells = []
        for split in SPLITS:
            for metric in METRICS:
                values = [result[split][metric] for result in seeds.values()]
                cells.append(f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", nargs="?", default="trees", choices=STUDIES)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/evidence"))
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="only these, to share the work; nothing is written"
    )
    parser.add_argument("--table", action="store_true", help="only print the table of the committed file")
    args = parser.parse_args()
    path = RESULTS / f"{args.study}.json"
    if args.seeds:
        collect(args.study, tuple(args.seeds), args.work_dir)
        return
    if not args.table:
        found = collect(args.study, STUDIES[args.study].seeds, args.work_dir)
        RESULTS.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
    print(table(json.loads(path.read_text())))


if __name__ == "__main__":
    main()
