"""What a model finds, for each task, with the hosts' own inference and visualizers.

Model    built from the config at hand and loaded by mmext.engine.checkpoint: the hosts' loaders let a file
         run code on an old torch, and mmengine's inferencers run the config text that lies in it
Classes  those in the checkpoint, else the config's, else numbers
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, VISUALIZERS

from mmext.data_checks import verify
from mmext.data_checks.needs import type_name
from mmext.engine import checkpoint
from mmext.errors import BadInputError
from mmext.inference.drawing import colours
from mmext.inference.inputs import Clip, Picture

Model: TypeAlias = Any
"""A torch module with the hosts' attributes ``cfg`` and ``dataset_meta``."""


def build_model(cfg: Config, file: str, *, device: str, strict: bool) -> Model:
    """Build the config's model and load a checkpoint.

    Raises:
        BadInputError: the checkpoint is missing, unsafe, or does not fit.
    """
    saved = checkpoint.read(file)
    # SyncBN needs several ranks; at inference it is BN.
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    checkpoint.check_fits(file, model, strict=strict)  # this loads
    model.dataset_meta = dataset_meta(cfg, saved, model)
    pipeline = next(verify.datasets(cfg.to_dict(), "test"), {}).get("pipeline")
    if not pipeline:
        raise BadInputError(
            f"{cfg.filename}: expected test_dataloader.dataset.pipeline there, got none; add it, since the "
            "demo prepares its input as a test does"
        )
    cfg.test_pipeline = pipeline
    model.cfg = cfg
    return model.to(device).eval()


def dataset_meta(cfg: Config, saved: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """Names and colours of the classes."""
    meta = (saved.get("meta") or {}).get("dataset_meta") or {}
    meta = {str(key).lower(): value for key, value in meta.items()}
    dataset = next(verify.datasets(cfg.to_dict(), "test"), {})
    own = dataset.get("metainfo") or {}
    number = next((part.num_classes for part in model.modules() if hasattr(part, "num_classes")), 1)
    classes = (
        meta.get("classes") or verify.wanted_classes(dataset) or [f"class {one}" for one in range(number)]
    )
    palette = own.get("palette") or meta.get("palette")
    if not isinstance(palette, list | tuple) or len(palette) < len(classes):
        palette = colours(len(classes))
    return {"classes": tuple(classes), "palette": [tuple(colour) for colour in palette]}


class Detector:
    """Boxes, and masks where the model has them."""

    def __init__(self, model: Model, *, score_thr: float) -> None:
        self.model, self.score_thr = model, score_thr
        self.visualizer = VISUALIZERS.build({"type": "mmdet.DetLocalVisualizer", "name": "demo"})
        self.visualizer.dataset_meta = model.dataset_meta

    def annotate(self, picture: Picture) -> Picture:
        """Draw what is found with a score above the threshold."""
        from mmdet.apis import inference_detector

        found = inference_detector(self.model, picture[..., ::-1].copy())
        self.visualizer.add_datasample("demo", picture, found, draw_gt=False, pred_score_thr=self.score_thr)
        return self.visualizer.get_image()


class Segmentor:
    """A colour for each pixel's class."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.visualizer = VISUALIZERS.build(
            {"type": "mmseg.SegLocalVisualizer", "name": "demo", "alpha": 0.5}
        )
        self.visualizer.dataset_meta = model.dataset_meta

    def annotate(self, picture: Picture) -> Picture:
        """Lay the classes' colours over the picture."""
        from mmseg.apis import inference_model

        found = inference_model(self.model, picture[..., ::-1].copy())
        self.visualizer.add_datasample("demo", picture, found, draw_gt=False)
        return self.visualizer.get_image()


class Recognizer:
    """The most likely classes of a clip."""

    def __init__(self, model: Model, *, top: int) -> None:
        self.model, self.top = model, top
        self.pipeline = Compose(in_memory(model.cfg.test_pipeline, model.cfg.filename))

    def recognize(self, clip: Clip) -> list[tuple[str, float]]:
        """Name and score of the best classes, the best first."""
        from mmaction.apis import inference_recognizer

        data = dict(array=clip, total_frames=len(clip), start_index=0, label=-1, modality="RGB")
        scores = inference_recognizer(self.model, data, self.pipeline).pred_score.flatten()
        best = torch.topk(scores, min(self.top, len(scores)))
        names = self.model.dataset_meta["classes"]
        return [
            (names[index] if index < len(names) else f"class {index}", score)
            for score, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]


def in_memory(pipeline: list[dict[str, Any]], file: str | Path | None) -> list[dict[str, Any]]:
    """The test pipeline with frames handed over instead of read from where the data set has them.

    Raises:
        BadInputError: nothing in it decodes frames.
    """
    steps = []
    for step in pipeline:
        kind = type_name(step)
        if kind.endswith("Decode"):
            steps.append({"type": "mmaction.ArrayDecode"})
        elif not kind.endswith("Init"):
            steps.append(step)
    if not any(type_name(step) == "ArrayDecode" for step in steps):
        kinds = ", ".join(type_name(step) for step in pipeline)
        raise BadInputError(
            f"{file}: expected a test pipeline that decodes frames, got {kinds}; the demo is for models that "
            "look at RGB frames"
        )
    return steps
