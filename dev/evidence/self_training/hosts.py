"""Self-training of a detector and of a segmentor: room first, then the study.

    python -m dev.evidence.self_training.hosts detector --room       control and oracle alone
    python -m dev.evidence.self_training.hosts detector              the study as it is stated
    python -m dev.evidence.self_training.hosts detector --seeds 0 1  these seeds, to share the work
    python -m dev.evidence.self_training.hosts detector --publish    all files into docs/evidence
    (likewise segmentor)

Question  does a student that also learns from a teacher's boxes or maps beat a net that learns from
          people's alone, for as long, and for as long as teacher and student together?
Arms      labelled only              T steps; its net is the students' teacher
          + total steps              2 T steps of the same
          self-trained               T steps; half of each batch are pictures with the teacher's
                                     labels, both halves' losses on one scale
          self-trained, plain loss   the same, losses added as they are
          oracle                     T steps; the same half with true labels
Cells     a start and a strength of augmentation each; the first decides
Pairs     of a seed: one draw of labelled pictures, one start, one order of the labelled half
Room      in the deciding cell, on the development split with seeds from 100 on: where the oracle is
          not ahead of the control by two deviations, nothing could be shown, and no other arm runs
Resume    one file a training; a killed one begins anew. Nothing is shown before all are there
Data      mmext data mobilenet_v2, stamps --one-class (also the segmentor's start), photo_digits
Tools     mmext train and mmext pseudo-label, in one process: a host takes longer to load than a
          short training
"""

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dev.evidence import provenance
from dev.evidence.results import RESULTS, write_json
from dev.evidence.runs import Runs
from dev.evidence.self_training import hosts_report
from dev.evidence.self_training.settings import (
    ALONE,
    DRAWN,
    ORACLE,
    SETTINGS,
    TAUGHT,
    Cell,
    Setting,
    config,
    linked,
    start_config,
)
from dev.evidence.study import ROOT, StudyError, config_hash
from mmext.prepare.packages import one_at_a_time

SEEDS, ROOM_SEEDS = tuple(range(8)), tuple(range(100, 104))
WORK = ROOT / "work_dirs/evidence/self_training"


@cache
def statement(name: str) -> dict[str, Any]:
    """What is fixed before the first run: the setting, and what each arm's config says."""
    setting = SETTINGS[name]
    fixed = asdict(setting)
    fixed["change"] = setting.change.__name__
    nowhere = Path("labels")
    configs = {
        f"{cell.name}, {arm}": config_hash(
            config(setting, cell, arm, 0, develop=False, pseudo=nowhere)
        )
        for cell in setting.cells
        for arm in cell.arms
    }
    start = start_config(setting)
    configs["start"] = config_hash(start) if start else "in the model's config"
    seeds = dict(seeds=SEEDS, room_seeds=ROOM_SEEDS)
    return json.loads(json.dumps(dict(setting=fixed, **seeds, configs=configs)))


class Trainings:
    """The trainings of a setting on one split, one file each.

    Args:
        name: of the setting.
        develop: whether on the development split, for the room.
    """

    def __init__(self, name: str, *, develop: bool) -> None:
        self.name, self.develop, self.setting = name, develop, SETTINGS[name]
        first = self.setting.cells[0]
        whole = [(cell, arm) for cell in self.setting.cells for arm in cell.arms]
        # Cells and arms, a cell's control first.
        self.plan = [(first, ALONE), (first, ORACLE)] if develop else whole
        self.runs = Runs(
            module=f"dev.evidence.self_training.hosts {name}{' --room' if develop else ''}",
            folder=WORK / f"{name}_{'room' if develop else 'study'}",
            statement=partial(statement, name),
            seeds=ROOM_SEEDS if develop else SEEDS,
            arms=[f"{cell.name}, {arm}" for cell, arm in self.plan],
        )

    def fill(self, seeds: Iterable[int]) -> None:
        """Run what is missing."""
        for seed in seeds:
            for (cell, arm), words in zip(self.plan, self.runs.arms, strict=True):
                if self.runs.done(words, seed):
                    continue
                run = partial(self.run, cell, arm, seed)
                commit = provenance.git("rev-parse", "HEAD")
                found, seconds = self.runs.kept(words, seed, run, commit=commit)
                told = f": {found['points']:.1f}" if self.develop else ""
                print(f"seed {seed}, {words}{told} ({seconds:.0f} s)", flush=True)
            for cell, _ in self.plan:
                shutil.rmtree(self.work(cell, ALONE, seed).parent, ignore_errors=True)

    def work(self, cell: Cell, arm: str, seed: int) -> Path:
        """Where a training keeps its files while its cell and seed are not done."""
        return self.runs.folder / f"{cell.name}, {seed}" / arm

    def run(self, cell: Cell, arm: str, seed: int) -> dict[str, Any]:
        """One training and its test; a teacher's labels first."""
        pseudo, quality = None, {}
        if arm in TAUGHT:
            pseudo = self.work(cell, ALONE, seed) / "pseudo"
            quality = self.label(cell, seed, pseudo)
        start = None if cell.start == DRAWN else start_of(self.setting)
        cfg = config(
            self.setting, cell, arm, seed, develop=self.develop, pseudo=pseudo, start=start
        )
        points = self.setting.scale * trained(cfg, self.work(cell, arm, seed), seed).get(
            self.setting.measure, 0.0
        )
        return dict(points=points, **quality)

    def label(self, cell: Cell, seed: int, pseudo: Path) -> dict[str, Any]:
        """Let the control label the others, and see what of it is right.

        Raises:
            StudyError: its net is not there, or it has nothing to say.
        """
        from mmext.cli import pseudo_label

        teacher = self.work(cell, ALONE, seed)
        if not (teacher / "last_checkpoint").is_file():
            self.runs.file(f"{cell.name}, {ALONE}", seed).unlink(missing_ok=True)
            raise StudyError(
                f"{teacher}: expected the control's net, got none; run this again, which trains it"
            )
        checkpoint = (teacher / "last_checkpoint").read_text()
        files = others(self.setting, seed)
        linked(files, pseudo / "pictures")
        words = ["--images", pseudo / "pictures", "--out", pseudo / "labels", "--device", "cpu"]
        words += ["--score-thr", self.setting.score_thr, "--force"]
        with (teacher / "labels.log").open("w") as log, contextlib.redirect_stdout(log):
            pseudo_label.main([str(teacher / "config.py"), checkpoint, *map(str, words)])
        return quality(self.setting, pseudo, files)


def trained(cfg: Any, folder: Path, seed: int) -> dict[str, Any]:
    """Train a config in an empty folder; returns what its test logged."""
    from mmext.cli import train

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = str(folder / "config.py")
    # Of one name there is one visualizer in a process, which writes into its first folder.
    cfg.visualizer.name = str(folder)
    cfg.dump(file)
    # What the hosts print holds the result, which is not looked at before all are there.
    with (folder / "printed.log").open("w") as printed, contextlib.redirect_stdout(printed):
        train.main([file, "--work-dir", str(folder), "--seed", str(seed), "--no-verify"])
    log = max(folder.glob("*/vis_data/scalars.json"))
    return json.loads(log.read_text().splitlines()[-1])


def start_of(setting: Setting) -> Path | None:
    """Weights that learnt other pictures, made once for all seeds; None if the config has them."""
    cfg = start_config(setting)
    if cfg is None:
        return None
    file = WORK / "starts" / f"{config_hash(cfg)[:16]}.pth"
    file.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(file):
        if not file.is_file():
            folder = file.with_suffix("")
            trained(cfg, folder, 0)
            saved = torch.load((folder / "last_checkpoint").read_text(), weights_only=False)
            kept = {k: v for k, v in saved["state_dict"].items() if "head" not in k}
            torch.save(dict(state_dict=kept), file)
            shutil.rmtree(folder)
    return file


def others(setting: Setting, seed: int) -> list[str]:
    """Files of a seed's pictures without labels."""
    from mmengine.registry import DATASETS, init_default_scope

    cfg = config(setting, setting.cells[0], ORACLE, seed, develop=True)
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.train_dataloader.dataset.datasets[1])
    return [dataset.get_data_info(row)["img_path"] for row in range(len(dataset))]


def quality(setting: Setting, pseudo: Path, files: list[str]) -> dict[str, Any]:
    """What of a teacher's labels is right: boxes at IoU 0.5, or pixels that show something."""
    from mmext.self_training.pseudo_labels import boxes, maps

    cfg = config(setting, setting.cells[0], ALONE, 0, develop=True)
    data = cfg.train_dataloader.dataset.datasets[0]
    root = Path(data.data_root)
    if cfg.default_scope == "mmdet":
        found, real = (
            json.loads(one.read_text())
            for one in (pseudo / "labels/pseudo.json", root / data.ann_file)
        )
        return boxes.compare(found, real)["IoU 0.5"]["all"]
    from dev.evidence.self_training.one_foreground import one_foreground  # this loads mmseg

    names, number = data.metainfo.classes, len(data.metainfo.classes)
    counted = np.zeros((number, number + 1), dtype=np.int64)
    for file in files:
        own = pseudo / "labels/maps" / f"{Path(file).name}.png"
        theirs = root / data.data_prefix.seg_map_path / f"{Path(file).stem}.png"
        real = one_foreground(np.asarray(Image.open(theirs)))
        counted += maps.confusion(np.asarray(Image.open(own)), real, number)
    report = maps.compare(counted, names)
    recall = counted.diagonal()[1:].sum() / counted[1:].sum()
    return dict(precision=report["accuracy without background"], recall=float(recall))


def collected(trainings: Trainings, seeds: Iterable[int]) -> dict[str, dict[str, dict[str, Any]]]:
    """Every training by cell and arm, then by seed.

    Raises:
        StudyError: one lacks, or was run otherwise than is stated.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for (cell, arm), words in zip(trainings.plan, trainings.runs.arms, strict=True):
        by_seed = {str(seed): trainings.runs.needed(words, seed) for seed in seeds}
        found.setdefault(cell.name, {})[arm] = by_seed
    return found


def open_room(name: str) -> None:
    """Refuse a study that could not show anything.

    Raises:
        StudyError: its room is not published, or is too small.
    """
    room, _ = hosts_report.published(name)
    if room is None or not hosts_report.is_open(room):
        got = "none" if room is None else "one where true labels bring too little"
        raise StudyError(
            f"{name}: expected a published room that the study can show something in, got {got}; "
            "run --room, then --room --publish, or choose another setting"
        )


def publish(name: str, *, room: bool) -> None:
    """Join the files of all trainings, once."""
    from dev.evidence import pages

    trainings = Trainings(name, develop=room)
    file = ROOT / RESULTS / f"self_training_{name}{'_room' if room else ''}.json"
    if file.exists():
        raise StudyError(f"{file}: expected none, got one; a study runs once, as it is stated")
    found = dict(
        command=trainings.runs.command,
        commit=provenance.committed(),
        statement=statement(name),
        **hosts_report.judged(collected(trainings, trainings.runs.seeds), trainings.setting.least),
        machine=provenance.read_machine(),
    )
    write_json(file, found)
    pages.rewrite()
    print(hosts_report.known(name, *(hosts_report.published(name))))


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("setting", choices=SETTINGS)
    parser.add_argument("--room", action="store_true", help="control and oracle, development split")
    parser.add_argument("--seeds", nargs="+", type=int, help="these alone, to share the work")
    parser.add_argument("--publish", action="store_true", help="join the files of all trainings")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    stated = ROOM_SEEDS if args.room else SEEDS
    try:
        if odd := set(args.seeds or ()) - set(stated):
            raise StudyError(f"expected some of the stated seeds {stated}, got {sorted(odd)}")
        if args.publish:
            publish(args.setting, room=args.room)
            return
        provenance.committed()
        if not args.room:
            open_room(args.setting)
        Trainings(args.setting, develop=args.room).fill(args.seeds or stated)
    except StudyError as error:
        sys.exit(f"error: {error}.")


if __name__ == "__main__":
    main()
