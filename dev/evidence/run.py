"""Evidence: the same net and schedule, one thing changed an arm, several seeds; means and spreads.

    python tools/evidence.py trees              run what is missing, write docs/evidence/trees.json
    python tools/evidence.py trees --table      print the table of that file

Studies: trees (one detector on tree crowns); on photographic cut-outs, detection (seven detectors), detectors
(DetectoRS and its halves in a Faster R-CNN), sample_weighting (ways to weight the RoIs of a Faster R-CNN) and
segmentation (five heads); action (five ways to see camera motion). Each run is tools/train.py and
tools/test.py in processes of their own, with a derived config written beside its results, so any of them can
be repeated by hand. A finished run is not repeated; a failed one stops the study. Runs of one seed see the
same images in the same order.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config
from report import METRICS, SPLITS, read_metrics
from trees_demo import CONFIG, KEEP_MEMORY, VALIDATION

RESULTS = Path("docs/evidence")
Change = Callable[[Config], None]


def unchanged(cfg: Config) -> None:
    """Leave the config as it is."""


@dataclass(frozen=True)
class Arm:
    """A config and what is changed in it."""

    config: str
    change: Change = unchanged


@dataclass(frozen=True)
class Study:
    """One question: arms that share net and schedule, and what is measured on which images.

    Args:
        arms: by the name that the table shows.
        splits: heading of each test.
        metrics: key of each number, by heading.
        redirect: options that make ``tools/test.py`` test another split than the config's.
    """

    arms: Mapping[str, Arm]
    splits: Mapping[str, str]
    metrics: Mapping[str, str]
    redirect: Mapping[str, list[str]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)


def host_gfl_head(cfg: Config) -> None:
    """Use mmdet's own head and losses."""
    head = cfg.model.bbox_head
    head.pop("avg_factor_floor", None)
    head.type = "mmdet.GFLHead"
    head.loss_cls.type, head.loss_dfl.type = "mmdet.QualityFocalLoss", "mmdet.DistributionFocalLoss"


def without_weights(cfg: Config) -> None:
    """Start the backbone from random weights."""
    cfg.model.backbone.init_cfg = None


def plain_retina(cfg: Config) -> None:
    """Take the balance away."""
    cfg.model.bbox_head.pop("iou_balance")
    cfg.model.bbox_head.type = "mmdet.RetinaHead"


def without(half: str) -> Change:
    """Turn a half of the balance off."""

    def change(cfg: Config) -> None:
        cfg.model.bbox_head.iou_balance[half] = None

    return change


def version_1(cfg: Config) -> None:
    """Use the first version's head."""
    cfg.model.bbox_head.type = "mmext.GFLHead"


def plain_backbone(cfg: Config) -> None:
    """Take the switchable convolutions away."""
    cfg.model.backbone = cfg.model.backbone.backbone


def weighted(**swn: object) -> Change:
    """Weight the RoIs in another way."""

    def change(cfg: Config) -> None:
        cfg.model.roi_head.bbox_head.swn = swn

    return change


def unweighted(cfg: Config) -> None:
    """Leave the box head's losses to mmdet."""
    cfg.model.roi_head.bbox_head.swn = None


OURS = ("bases_update", "renorm_bases", "temperature", "variant", "attn_impl")
"""Arguments of our segmentation heads that mmseg's do not have."""


def host_head(kind: str) -> Change:
    """Put one of mmseg's own heads in place of ours."""

    def change(cfg: Config) -> None:
        head = cfg.model.decode_head
        head.type = kind
        for name in OURS:
            head.pop(name, None)

    return change


def plain_fcn(cfg: Config) -> None:
    """Leave attention out: the same two convolutions and nothing between them."""
    host_head("mmseg.FCNHead")(cfg)
    cfg.model.decode_head.num_convs = 2


def frames_alone(cfg: Config) -> None:
    """Take both branches away: TSN, which sees single frames."""
    cfg.model.backbone.update(use_cstm=False, use_cmm=False)


def frames_shifted(cfg: Config) -> None:
    """Use mmaction2's shift instead of both branches: TSM."""
    cfg.model.backbone.type = "mmaction.ShiftedResNet"
    cfg.custom_imports.imports = ["mmext", "shifted_resnet"]


def without_branch(name: str) -> Change:
    """Take one branch away."""

    def change(cfg: Config) -> None:
        cfg.model.backbone[name] = False

    return change


RETINA = "configs/detection/iou_balanced/iou-balanced_retinanet_mobilenet-v2_fpn_1xb4-300i_stamps.py"
ATSS = "configs/detection/gfl/atss_mobilenet-v2_fpn_1xb4-300i_stamps.py"
GFL_V2 = "configs/detection/gfl/gfl-v2_mobilenet-v2_fpn_1xb4-300i_stamps.py"
DETECTORS = "configs/detection/detecto_rs/{}_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py"
EMA = "configs/segmentation/emanet/emanet_mobilenet-v2_1xb4-600i_stamps.py"
DNL = "configs/segmentation/dnl/dnl_mobilenet-v2_1xb4-600i_stamps.py"
STM = "configs/action/stm/stm_r14_1xb8-800i_motion.py"
SWN = "configs/detection/sample_weighting/swn_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py"
# The means that the learned arm reaches, over one run of seed 3, which the study does not use.
SWN_MEANS = dict(cls_pos=0.7, cls_neg=5.6, reg=2.6)
STUDIES = {
    "trees": Study(
        arms={
            "mmext.GFLHead": Arm(CONFIG),
            "mmdet.GFLHead": Arm(CONFIG, host_gfl_head),
            "mmext.GFLHead, no ImageNet weights": Arm(CONFIG, without_weights),
        },
        splits=SPLITS,
        metrics=METRICS,
        redirect={"val": VALIDATION},
    ),
    "detection": Study(
        arms={
            "RetinaNet, smooth L1": Arm(RETINA, plain_retina),
            "+ IoU-balanced classification": Arm(RETINA, without("lam")),
            "+ IoU-balanced localisation": Arm(RETINA, without("eta")),
            "+ both": Arm(RETINA),
            "ATSS": Arm(ATSS),
            "GFL": Arm(GFL_V2, version_1),
            "GFLv2": Arm(GFL_V2),
        },
        splits={"test": "validation"},
        metrics={"AP": METRICS["AP"], "AP75": METRICS["AP75"], "AP90": "coco90/bbox_mAP"},
    ),
    "detectors": Study(
        arms={
            "Faster R-CNN": Arm(DETECTORS.format("sac"), plain_backbone),
            "+ RFP": Arm(DETECTORS.format("rfp")),
            "+ SAC": Arm(DETECTORS.format("sac")),
            "+ both": Arm(DETECTORS.format("detectors")),
        },
        splits={"test": "validation"},
        metrics={"AP": METRICS["AP"], "AP75": METRICS["AP75"], "recall of hidden": "hidden/bbox_AR@100"},
    ),
    "sample_weighting": Study(
        arms={
            "Faster R-CNN": Arm(SWN, unweighted),
            "+ constant weights": Arm(SWN, weighted(mode="constant", weights=SWN_MEANS)),
            "+ closed form": Arm(SWN, weighted(mode="closed_form")),
            "+ learned": Arm(SWN),
        },
        splits={"test": "validation"},
        metrics={"AP": METRICS["AP"], "AP75": METRICS["AP75"]},
    ),
    "segmentation": Study(
        arms={
            "FCN head": Arm(DNL, plain_fcn),
            "mmseg.EMAHead": Arm(EMA, host_head("mmseg.EMAHead")),
            "mmext.EMAHead": Arm(EMA),
            "mmseg.DNLHead": Arm(DNL, host_head("mmseg.DNLHead")),
            "mmext.DNLHead": Arm(DNL),
        },
        splits={"test": "validation"},
        metrics={"mIoU": "mIoU"},
    ),
    "action": Study(
        arms={
            "TSN: frames alone": Arm(STM, frames_alone),
            "TSM: fixed shift": Arm(STM, frames_shifted),
            "STM, CSTM only": Arm(STM, without_branch("use_cmm")),
            "STM, CMM only": Arm(STM, without_branch("use_cstm")),
            "STM": Arm(STM),
        },
        splits={"test": "validation"},
        metrics={"top-1": "acc/top1"},
    ),
}


def run(study: Study, name: str, seed: int, folder: Path) -> dict[str, dict[str, float]]:
    """Train and test one arm with one seed, or read what an earlier call found."""
    done = folder / "result.json"
    if done.exists():
        return json.loads(done.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    arm = study.arms[name]
    cfg = Config.fromfile(arm.config, import_custom_modules=False)
    arm.change(cfg)
    config = folder / "config.py"
    cfg.dump(config)
    train = ["tools/train.py", config, "--work-dir", folder, "--seed", seed]
    call(folder / "train.log", *train, "--no-validate")  # what counts is the test at the end
    checkpoint = (folder / "last_checkpoint").read_text()
    for split in study.splits:
        redirect = ["--cfg-options", *study.redirect[split]] if split in study.redirect else []
        log, work_dir = folder / f"{split}.log", folder / split
        call(log, "tools/test.py", config, checkpoint, "--work-dir", work_dir, *redirect)
    result: dict = {split: read_metrics(folder, split, study.metrics) for split in study.splits}
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
        configs={name: arm.config for name, arm in study.arms.items()},
        machine=f"{os.cpu_count()} CPU cores, {platform.machine()}, no GPU",
        torch=torch.__version__,
        runs=runs,
    )


def table(name: str, runs: Mapping[str, Mapping[str, Mapping]]) -> str:
    """Mean and sample standard deviation over the seeds, as Markdown."""
    study = STUDIES[name]
    cells = [(split, metric) for split in study.splits for metric in study.metrics]
    heads = [f"{study.splits[split]} {metric}" for split, metric in cells]
    lines = ["| arm | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for arm, seeds in runs.items():
        found = [[result[split][metric] for result in seeds.values()] for split, metric in cells]
        means = [f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}" for values in found]
        lines.append(f"| {arm} | " + " | ".join(means) + " |")
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
    print(table(args.study, json.loads(path.read_text())["runs"]))


if __name__ == "__main__":
    main()
