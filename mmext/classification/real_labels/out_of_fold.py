"""Scores of every training picture by a net that never saw it: one training for each fold.

Fold     a config of its own in the work dir: the training set without the fold; trained by
         ``mmext train`` in a process of its own, which goes on where a killed one stopped
Scores   of the fold's pictures, prepared as the config's test pipeline does, in ``fold_3.npz``;
         a fold that has them is not trained again
"""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS
from torch.utils.data import DataLoader

from mmext.classification.real_labels.cleaning import folds_of
from mmext.classification.stack.noise import key_of
from mmext.data_checks import verify
from mmext.engine import checkpoint
from mmext.errors import BadInputError
from mmext.files import replacing


@dataclass(frozen=True)
class Samples:
    """Names and labels of all training pictures, in the data set's order, and of the classes."""

    names: list[str]
    labels: Int[np.ndarray, " N"]
    classes: tuple[str, ...]


def read_samples(cfg: Config) -> Samples:
    """What the config trains on.

    Raises:
        BadInputError: it is no classifier, its samples have no labels, or two bear one name.
    """
    head = (cfg.get("model") or {}).get("head") or {}
    if cfg.get("default_scope") != "mmengine" or "num_classes" not in head:
        raise BadInputError(
            f"{cfg.filename}: expected a classifier, a config with default_scope='mmengine' and "
            f"model.head.num_classes, got default_scope={cfg.get('default_scope')!r}; boxes and "
            "label maps cannot be cleaned in this version"
        )
    dataset = DATASETS.build(without_pipeline(cfg.train_dataloader.dataset))
    infos = [dataset.get_data_info(place) for place in range(len(dataset))]
    if missing := [key_of(one) for one in infos if "gt_label" not in one]:
        raise BadInputError(
            f"{cfg.filename}: expected a label for each training picture, got none for "
            f"{missing[0]}; name a list with labels as ann_file"
        )
    names = [key_of(one) for one in infos]
    if len(set(names)) < len(names):
        raise BadInputError(
            f"{cfg.filename}: expected each training picture once, got {len(names)} of "
            f"{len(set(names))} names; take repeats and joined data sets out of train_dataloader"
        )
    classes = dataset.metainfo.get("classes") or range(head["num_classes"])
    labels = np.array([one["gt_label"] for one in infos], np.int64)
    return Samples(names, labels, tuple(map(str, classes)))


def inner(dataset: Mapping[str, Any]) -> Iterator[Any]:
    """The data sets that read files, inside wrappers."""
    yield from verify.datasets({"train_dataloader": {"dataset": dataset}}, "train")


def without_pipeline(dataset: Any, pipeline: Any = (), **more: Any) -> Any:
    """A copy of a data set's config with another pipeline."""
    new = copy.deepcopy(dataset)
    for one in inner(new):
        one.update(pipeline=list(pipeline), **more)
    return new


@dataclass(frozen=True)
class OutOfFold:
    """The folds of a config.

    Args:
        cfg: the config.
        samples: what it trains on.
        folds: how many.
        work_dir: where they are kept.
        seed: of the folds and of each training.
    """

    cfg: Config
    samples: Samples
    folds: int
    work_dir: Path
    seed: int = 0

    def scores(self) -> Float[np.ndarray, "N K"]:
        """Of all pictures; trains what is missing.

        Raises:
            BadInputError: the work dir has folds of something else, or a training failed.
        """
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self.refuse_others()
        fold_of = folds_of(self.samples.labels, self.folds, self.seed)
        found: np.ndarray | None = None
        for fold in range(self.folds):
            rows = np.flatnonzero(fold_of == fold)
            part = self.scores_of(fold, rows)
            if found is None:
                found = np.zeros((len(fold_of), part.shape[1]), np.float32)
            found[rows] = part
        assert found is not None  # there are two folds or more
        return found

    def refuse_others(self) -> None:
        """Note what the work dir is for, or compare it with what it was for."""
        file = self.work_dir / "folds.json"
        stated = dict(
            config=self.cfg.to_dict(),
            folds=self.folds,
            seed=self.seed,
            samples=len(self.samples.names),
            labels=self.samples.labels.tolist(),
        )
        text = json.dumps(stated, default=str, sort_keys=True)
        if not file.exists():
            file.write_text(text, encoding="utf-8")
        elif file.read_text(encoding="utf-8") != text:
            raise BadInputError(
                f"{self.work_dir}: expected the folds of this config, these labels, --folds "
                f"{self.folds} and --seed {self.seed}, got those of another run; choose another "
                "--work-dir, or remove this one"
            )

    def scores_of(self, fold: int, rows: Int[np.ndarray, " M"]) -> Float[np.ndarray, "M K"]:
        """Of one fold's pictures: those that were kept, or new ones."""
        kept = self.work_dir / f"fold_{fold}.npz"
        if kept.exists():
            with np.load(kept) as saved:
                return saved["scores"]
        print(f"fold {fold + 1} of {self.folds}: {len(rows)} pictures held out", flush=True)
        folder = self.work_dir / f"fold_{fold}"
        folder.mkdir(exist_ok=True)
        config = self.write_config(folder, rows)
        trained = self.train(config, folder)
        scores = scores_by(Config.fromfile(config), trained)
        with replacing(kept) as part, part.open("wb") as out:
            np.savez_compressed(out, scores=scores)
        for file in folder.glob("*.pth"):
            file.unlink()  # ten nets would fill a disk; config and seed give them again
        return scores

    def write_config(self, folder: Path, rows: Int[np.ndarray, " M"]) -> Path:
        """The config of a fold: it trains without these pictures and tests on them."""
        held_out = set(rows.tolist())
        names = self.samples.names
        lists = {
            "train": [name for place, name in enumerate(names) if place not in held_out],
            "held_out": [names[place] for place in rows],
        }
        for name, part in lists.items():
            (folder / f"{name}.txt").write_text("\n".join(part) + "\n", encoding="utf-8")
        cfg = Config(copy.deepcopy(self.cfg.to_dict()))
        train = cfg.train_dataloader.dataset
        tested = next(inner(cfg.test_dataloader.dataset))
        cfg.test_dataloader.dataset = dict(
            type="mmext.FilteredDataset",
            dataset=without_pipeline(train, tested.pipeline, test_mode=True),
            keep=str(folder / "held_out.txt"),
        )
        cfg.train_dataloader.dataset = dict(
            type="mmext.FilteredDataset", dataset=train, keep=str(folder / "train.txt")
        )
        cfg.default_hooks.checkpoint.update(max_keep_ckpts=1, save_best=None, save_last=True)
        file = folder / "fold.py"
        cfg.dump(file)
        return file

    def train(self, config: Path, folder: Path) -> Path:
        """Train with the stock tool, or go on; returns the last checkpoint.

        Raises:
            BadInputError: it failed.
        """
        words = [sys.executable, "-m", "mmext", "train", str(config), "--work-dir", str(folder)]
        words += ["--no-validate", "--no-verify", "--resume", "--seed", str(self.seed)]
        log = folder / "train.log"
        with log.open("a") as out:
            code = subprocess.run(words, stdout=out, stderr=subprocess.STDOUT).returncode
        last = folder / "last_checkpoint"
        if code or not last.exists():
            said = log.read_text(errors="replace").strip().splitlines() or ["nothing"]
            raise BadInputError(
                f"{config}: expected its training to end well, got status {code} ({said[-1]}); see "
                f"{log}, mend it and run this again, which goes on"
            )
        return Path(last.read_text())


def scores_by(cfg: Config, file: Path) -> Float[np.ndarray, "M K"]:
    """What a trained net says of its config's test pictures, in their order."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    checkpoint.check_fits(str(file), model, strict=True)  # this loads
    model = model.to(device).eval()
    loader = DataLoader(
        DATASETS.build(cfg.test_dataloader.dataset),
        batch_size=cfg.test_dataloader.batch_size,
        num_workers=cfg.test_dataloader.num_workers,
        collate_fn=pseudo_collate,
    )
    with torch.no_grad():
        found = [one.pred_score.float().cpu() for batch in loader for one in model.test_step(batch)]
    return torch.stack(found).numpy()
