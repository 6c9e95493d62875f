"""A detector and a segmentor small enough for many pairs: data of a seed, and each arm's config.

Detector   GFL over frozen ImageNet features of MobileNetV2; cut-outs on photographs, one class
Segmentor  a small U-Net; handwritten digits on photographs, told from what is behind them
Batches    half of each are the labelled pictures, in one order for all arms; the other half are the
           same pictures once more, or others with true labels, or with a teacher's
Marked     the others: the wrapper joins the halves' losses wherever there are others
Not        trees, whose test is 98 boxes on two photographs, nor which digit it is, which a few
           hundred steps do not teach: their teachers fail the gate, or their pairs say little
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from dev.evidence.changes import iterations, with_data
from dev.evidence.study import ROOT, Change
from mmext.self_training.pseudo_labels.policy import augmentation

ALONE, LONGER = "labelled only", "+ total steps"
PLAIN, STUDENT, ORACLE = "self-trained, plain loss", "self-trained", "oracle"
ARMS = (ALONE, LONGER, PLAIN, STUDENT, ORACLE)
TAUGHT = (PLAIN, STUDENT)
DRAWN, PRETRAINED = "drawn", "pretrained"
START_STEPS = 2
"""Times a setting's own steps that pretraining takes."""


@dataclass(frozen=True)
class Cell:
    """A start, a strength of augmentation, and which arms are trained there.

    Args:
        start: ``drawn`` or ``pretrained``.
        stage: of the ladder of augmentation.
        arms: the control first: it is the students' teacher.
    """

    start: str
    stage: int
    arms: tuple[str, ...] = (ALONE, LONGER, STUDENT, ORACLE)

    @property
    def name(self) -> str:
        """For tables and files."""
        return f"{self.start}, S{self.stage}"


@dataclass(frozen=True)
class Setting:
    """What all runs of a host share.

    Args:
        config: of the model and the data, below configs/.
        change: of that config, for this study.
        pool: training pictures to draw from.
        labelled: pictures with labels.
        others: pictures without.
        half: pictures of each kind in a batch.
        steps: of a training; the longer control takes twice as many.
        side: of the pictures in training.
        flip: whether pictures are mirrored.
        measure: name of the number that decides, as the host logs it.
        scale: from that number to points of 100.
        score_thr: for ``mmext pseudo-label``.
        least: points that teachers must have.
        cells: the first decides.
    """

    config: str
    change: Change
    pool: int
    labelled: int
    others: int
    half: int
    steps: int
    side: int
    flip: bool
    measure: str
    scale: float
    score_thr: str
    least: float
    cells: tuple[Cell, ...]

    def drawn(self, seed: int) -> tuple[list[int], list[int]]:
        """Rows of a seed's labelled pictures and of the others."""
        order = np.random.default_rng([seed, 19]).permutation(self.pool).tolist()
        return order[: self.labelled], sorted(order[self.labelled : self.labelled + self.others])


def detector(cfg: Config) -> None:
    """One number decides, so the other tests are left out; the ladder flips."""
    load, annotate, *_, pack = cfg.train_dataloader.dataset.pipeline
    cfg.train_dataloader.dataset.pipeline = [load, annotate, pack]
    for split in ("val", "test"):
        cfg[f"{split}_evaluator"] = cfg[f"{split}_evaluator"][0]


def segmentor(cfg: Config) -> None:
    """A U-Net for pictures of half their size, and one class beside the background.

    With ReLU all last features became 0 where something is (development seeds 100 to 103): only the
    last layer's bias was left to say it, and the nets saw background alone.
    """
    leaky = dict(type="LeakyReLU", negative_slope=0.1)
    cfg.model.backbone = dict(
        type="UNet",
        base_channels=16,
        num_stages=4,
        strides=(1, 1, 1, 1),
        enc_num_convs=(1, 2, 2, 2),
        dec_num_convs=(1, 1, 1),
        downsamples=(True, True, True),
        enc_dilations=(1, 1, 1, 1),
        dec_dilations=(1, 1, 1),
        norm_cfg=dict(type="GN", num_groups=8),
        act_cfg=leaky,
    )
    cfg.model.decode_head.update(
        in_channels=16, in_index=3, channels=16, num_convs=0, num_classes=2, dropout_ratio=0.0
    )
    cfg.model.data_preprocessor.size_divisor = 16  # of which the pictures' side is a multiple
    cfg.optim_wrapper = dict(
        type="OptimWrapper", optimizer=dict(type="AdamW", lr=3e-3, weight_decay=0.05)
    )
    cfg.custom_imports.imports.append("dev.evidence.self_training.one_foreground")
    two_classes(cfg)


def two_classes(cfg: Config) -> None:
    """Something and background, in all splits; tests on pictures of half their size."""
    for split in ("train", "val", "test"):
        dataset = cfg[f"{split}_dataloader"].dataset
        dataset.metainfo = dict(
            classes=("background", "something"), palette=[[0, 0, 0], [255, 209, 0]]
        )
        load, annotate, *_, pack = dataset.pipeline
        small = [] if split == "train" else [dict(type="Resize", scale=(80, 80), keep_ratio=True)]
        dataset.pipeline = [load, *small, annotate, dict(type="OneForeground"), pack]


SETTINGS = {
    "detector": Setting(
        config="configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb8-800i_stamps-one-class.py",
        change=detector,
        pool=2000,
        labelled=16,
        others=300,
        half=4,
        steps=150,
        side=160,
        flip=True,
        measure="coco/bbox_mAP",
        scale=100,
        score_thr="auto",
        least=15,
        cells=(
            Cell(PRETRAINED, 1, ARMS),
            Cell(PRETRAINED, 4),
        ),
    ),
    "segmentor": Setting(
        config="configs/segmentation/pseudo_labels/fcn-s1_mobilenet-v2_1xb4-600i_20-photo-digits.py",
        change=segmentor,
        pool=320,
        # True labels of all bring so much (mean and deviation, seeds 100 to 103): 5.2, 6.2 with 20;
        # 5.6, 3.1 with 8; 9.2, 4.7 with 5; 10.9, 4.7 with 3, the only room of two deviations.
        labelled=3,
        others=300,
        half=4,
        steps=250,
        side=80,
        flip=False,
        measure="mIoU",
        scale=1,
        score_thr="0.5",
        least=50,
        cells=(
            # From drawn weights some nets saw background alone, so those cells do not decide.
            Cell(PRETRAINED, 1, ARMS),
            Cell(PRETRAINED, 4),
            Cell(DRAWN, 1),
            Cell(DRAWN, 4),
        ),
    ),
}


def config(
    setting: Setting,
    cell: Cell,
    arm: str,
    seed: int,
    *,
    develop: bool,
    pseudo: Path | None = None,
    start: Path | None = None,
) -> Config:
    """An arm's whole config.

    Args:
        setting: the host's.
        cell: start and augmentation.
        arm: which other half the batches have.
        seed: of the draw of pictures, and of their order.
        develop: whether the development split judges; else the test split.
        pseudo: the folder that the teacher has labelled into, for a student.
        start: a checkpoint of pretrained weights.
    """
    cfg = Config.fromfile(str(ROOT / setting.config), import_custom_modules=False)
    setting.change(cfg)
    steps = setting.steps * (2 if arm == LONGER else 1)
    iterations(steps)(cfg)
    cfg.train_dataloader = loader(cfg, setting, cell, arm, seed, pseudo)
    if arm not in (ALONE, LONGER):
        wrapped = dict(type="mmext.SelfTrainingWrapper", model=cfg.model, loss_norm=arm != PLAIN)
        cfg.model = wrapped
    if not develop:
        cfg.val_dataloader, cfg.val_evaluator = cfg.test_dataloader, cfg.test_evaluator
    for split in ("val", "test"):
        cfg[f"{split}_dataloader"].update(batch_size=10, num_workers=0, persistent_workers=False)
    # A control's net is a teacher; no other net is asked for anything after its test.
    cfg.default_hooks.checkpoint.update(
        interval=steps if arm == ALONE else -1,
        save_best=None,
        save_optimizer=False,
        save_last=False,
    )
    cfg.log_level = "ERROR"  # what a run logs is not looked at before all are there
    cfg.default_hooks.logger.interval = cfg.log_processor.window_size = 50
    cfg.load_from = str(start) if start else None
    return cfg


def start_config(setting: Setting) -> Config | None:
    """Of the training that pretrained weights come from; None where the model's config names them.

    The setting's model on cut-outs, with which it learns what lies in front of a photograph.
    """
    cfg = Config.fromfile(str(ROOT / setting.config), import_custom_modules=False)
    setting.change(cfg)
    if cfg.model.backbone.get("init_cfg"):
        return None
    cfg = config(setting, setting.cells[0], ALONE, 0, develop=True)
    with_data("stamps_one_class_segmentation", num_classes=2)(cfg)
    two_classes(cfg)
    iterations(setting.steps * START_STEPS)(cfg)
    cfg.default_hooks.checkpoint.interval = cfg.train_cfg.max_iters
    *loading, pack = cfg.train_dataloader.dataset.pipeline
    stage = augmentation(1, "segmentation", setting.side, pixel_scale=setting.side / 480)
    cfg.train_dataloader.dataset.pipeline = [*loading, *stage, pack]
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.val_dataloader.update(batch_size=10, num_workers=0, persistent_workers=False)
    return cfg


def loader(
    cfg: Config, setting: Setting, cell: Cell, arm: str, seed: int, pseudo: Path | None
) -> dict[str, Any]:
    """Of training: one process, so that an arm is one process."""
    labelled, others = setting.drawn(seed)
    dataset = cfg.train_dataloader.dataset
    dataset.pop("indices", None)
    *loading, pack = dataset.pipeline
    steps = augmentation(
        cell.stage,
        "detection" if cfg.default_scope == "mmdet" else "segmentation",
        setting.side,
        pixel_scale=setting.side / 480,
        flip=setting.flip,
    )
    pipeline = [*loading, *steps, pack]
    first = dict(dataset, indices=labelled, pipeline=pipeline)
    marked = [*pipeline, dict(type="mmext.MarkSource", source="pseudo")]
    second = dict(first)
    if arm == ORACLE:
        second = dict(dataset, indices=others, pipeline=marked)
    elif arm in TAUGHT:
        second = dict(dataset, pipeline=marked, **taught(cfg.default_scope, pseudo))
    size = 2 * setting.half
    return dict(
        batch_size=size,
        num_workers=0,
        sampler=dict(type="mmext.RatioBatchSampler", batch_size=size, ratio=(1, 1), seed=seed),
        dataset=dict(type="mmengine.ConcatDataset", datasets=[first, second]),
    )


def taught(scope: str, pseudo: Path | None) -> dict[str, Any]:
    """Where a teacher's labels lie: pictures in ``pictures``, labels beside them."""
    assert pseudo, "a student needs its teacher's labels"
    pictures = str(pseudo / "pictures")
    if scope == "mmdet":
        return dict(ann_file=str(pseudo / "labels/pseudo.json"), data_prefix=dict(img=pictures))
    maps = dict(img_path=pictures, seg_map_path=str(pseudo / "labels/maps"))
    return dict(data_prefix=maps, data_root="", seg_map_suffix=".jpg.png")


def linked(files: Sequence[str], folder: Path) -> None:
    """A folder of links to pictures, for ``mmext pseudo-label``."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        link = folder / Path(file).name
        if not link.exists():
            link.symlink_to(Path(file).resolve())
