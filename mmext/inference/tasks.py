"""What a model finds, for each task, through the host's own pipeline and test step.

Model    built from the config at hand and loaded by mmext.engine.checkpoint: the hosts' loaders let
         a file run code on an old torch, and mmengine's inferencers run the config text that lies
         in it
Classes  those in the checkpoint, else the config's, else numbers
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS

from mmext.data_checks import verify
from mmext.data_checks.needs import type_name
from mmext.engine import checkpoint
from mmext.errors import BadInputError
from mmext.inference.drawing import Found, Points, colours, draw_objects, lay_over, write_scores
from mmext.inference.inputs import Clip, Picture
from mmext.inference.reading import Preparation

Model: TypeAlias = Any
"""A torch module with the hosts' attributes ``cfg`` and ``dataset_meta``."""
Annotated: TypeAlias = tuple[Picture, dict[str, Any]]
"""What is drawn, and what it shows in words and numbers."""


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
            f"{cfg.filename}: expected test_dataloader.dataset.pipeline there, got none; add it, "
            "since the demo prepares its input as a test does"
        )
    cfg.test_pipeline = pipeline
    model.cfg = cfg
    return model.to(device).eval()


def dataset_meta(cfg: Config, saved: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """Names and colours of the classes, names, limbs and spread of points."""
    meta = (saved.get("meta") or {}).get("dataset_meta") or {}
    meta = {str(key).lower(): value for key, value in meta.items()}
    dataset = next(verify.datasets(cfg.to_dict(), "test"), {})
    own = dataset.get("metainfo") or {}
    number = next((part.num_classes for part in model.modules() if hasattr(part, "num_classes")), 1)
    classes = (
        meta.get("classes")
        or verify.wanted_classes(dataset)
        or [f"class {one}" for one in range(number)]
    )
    palette = own.get("palette") or meta.get("palette")
    if not isinstance(palette, list | tuple) or len(palette) < len(classes):
        palette = colours(len(classes))
    points = {
        key: own.get(key) or meta.get(key) for key in ("keypoint_names", "skeleton", "sigmas")
    }
    return {"classes": tuple(classes), "palette": [tuple(colour) for colour in palette], **points}


class Detector:
    """Boxes, and masks and keypoints where the model has them."""

    def __init__(self, model: Model, *, score_thr: float) -> None:
        self.model, self.score_thr = model, score_thr
        self.names, self.palette = model.dataset_meta["classes"], model.dataset_meta["palette"]
        self.skeleton = bones(model.dataset_meta)
        self.preparation = Preparation(model.cfg.test_pipeline, model.cfg.filename)

    def annotate(self, source: Path | Picture) -> Annotated:
        """Draw what is found with a score above the threshold, and say it."""
        picture, data = prepare(self.preparation, source)
        found = predict(self.model, data)
        objects = (
            self.segments(found.pred_panoptic_seg)
            if "pred_panoptic_seg" in found
            else self.objects(found)
        )
        return draw_objects(picture, objects, self.palette, self.skeleton), {
            "objects": [facts_of(one) for one in objects]
        }

    def objects(self, sample: Any) -> list[Found]:
        """Those above the threshold, the best last, so that it is drawn above the others."""
        kept = sample.pred_instances
        kept = kept[kept.scores > self.score_thr]
        kept = kept[kept.scores.argsort()].cpu()
        boxes = getattr(kept.bboxes, "tensor", kept.bboxes).float().tolist()
        masks = np.asarray(kept.masks, bool) if "masks" in kept else [None] * len(boxes)
        labels, scores = kept.labels.tolist(), kept.scores.float().tolist()
        return [
            Found((box[0], box[1], box[2], box[3]), label, self.name(label), score, *rest)
            for box, label, score, *rest in zip(
                boxes, labels, scores, masks, points_of(kept), strict=True
            )
        ]

    def segments(self, panoptic: Any) -> list[Found]:
        """Things and stuff of a panoptic model, which has no scores."""
        from mmdet.evaluation.functional import INSTANCE_OFFSET

        numbers = panoptic.sem_seg.squeeze(0).cpu().numpy()
        found = []
        for number in np.unique(numbers):
            label = int(number % INSTANCE_OFFSET)
            if label < len(self.names):
                mask = numbers == number
                rows, columns = np.nonzero(mask)
                left, top, right, bottom = (
                    columns.min(),
                    rows.min(),
                    columns.max() + 1,
                    rows.max() + 1,
                )
                box = (float(left), float(top), float(right), float(bottom))
                found.append(Found(box, label, self.name(label), 1.0, mask))
        return found

    def name(self, label: int) -> str:
        """Name of a class."""
        return self.names[label] if label < len(self.names) else f"class {label}"


def points_of(found: Any) -> list[Points | None]:
    """Place and score of each point of each object; None where the model finds no points."""
    if "keypoints" not in found:
        return [None] * len(found)
    sure = found.keypoint_scores[..., None]
    every = torch.cat([found.keypoints, sure], -1).float().tolist()
    return [[(x, y, score) for x, y, score in one] for one in every]


def bones(meta: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Pairs of places that a line joins, of those that are named or numbered in metainfo."""
    names = list(meta.get("keypoint_names") or ())
    pairs = [
        [names.index(end) if end in names else end for end in pair]
        for pair in meta.get("skeleton") or ()
    ]
    return [(one, other) for one, other in pairs if isinstance(one, int) and isinstance(other, int)]


class Segmentor:
    """A colour for each pixel's class."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.names, self.palette = model.dataset_meta["classes"], model.dataset_meta["palette"]
        self.preparation = Preparation(model.cfg.test_pipeline, model.cfg.filename)

    def annotate(self, source: Path | Picture) -> Annotated:
        """Lay the classes' colours over the picture, and say how much of it each has."""
        picture, data = prepare(self.preparation, source)
        classes = predict(self.model, data).pred_sem_seg.data.squeeze(0).cpu().numpy()
        numbers, counts = np.unique(classes, return_counts=True)
        shares = [
            {
                "class": self.names[n] if n < len(self.names) else f"class {n}",
                "pixels": c,
                "share": c / classes.size,
            }
            for n, c in sorted(
                zip(numbers.tolist(), counts.tolist(), strict=True), key=lambda one: -one[1]
            )
        ]
        return lay_over(picture, classes, self.palette), {"classes": shares}


class Classifier:
    """The most likely classes of a picture."""

    def __init__(self, model: Model, *, top: int) -> None:
        self.model, self.top, self.names = model, top, model.dataset_meta["classes"]
        self.preparation = Preparation(model.cfg.test_pipeline, model.cfg.filename)

    def annotate(self, source: Path | Picture) -> Annotated:
        """Write the best classes on the picture, and say them.

        Raises:
            BadInputError: the model does not classify.
        """
        picture, data = prepare(self.preparation, source)
        found = predict(self.model, data)
        if "pred_score" not in found:
            raise BadInputError(
                f"{self.model.cfg.filename}: expected a classifier, whose samples have pred_score, "
                f"got samples with {', '.join(found.keys()) or 'nothing'}; give such a config"
            )
        best = best_classes(found.pred_score, self.names, self.top)
        classes = [{"class": name, "score": round(score, 6)} for name, score in best]
        height, width = picture.shape[:2]  # what is drawn on is enlarged where it is small
        return write_scores(picture, best), dict(width=width, height=height, classes=classes)


def best_classes(scores: torch.Tensor, names: Any, top: int) -> list[tuple[str, float]]:
    """Name and score of the best classes, the best first."""
    best = torch.topk(scores.flatten(), min(top, scores.numel()))
    return [
        (names[index] if index < len(names) else f"class {index}", score)
        for score, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def prepare(preparation: Preparation, source: Path | Picture) -> tuple[Picture, dict[str, Any]]:
    """How a file or a frame looks, and what the model takes."""
    return preparation.of_file(source) if isinstance(source, Path) else preparation.of_frame(source)


def predict(model: Model, data: Mapping[str, Any]) -> Any:
    """The sample that a model of pictures makes of a prepared one."""
    with torch.no_grad():
        return model.test_step(
            {"inputs": [data["inputs"]], "data_samples": [data["data_samples"]]}
        )[0]


def facts_of(one: Found) -> dict[str, Any]:
    """An object for a JSON file; its mask as COCO's run lengths."""
    facts: dict[str, Any] = {"class": one.name, "score": round(one.score, 6)}
    facts["bbox"] = [round(side, 2) for side in one.box]
    if one.points is not None:
        facts["keypoints"] = [
            [round(x, 2), round(y, 2), round(score, 4)] for x, y, score in one.points
        ]
    if one.mask is not None:
        import pycocotools.mask as coco_masks  # here: it comes with mmdet alone

        code = coco_masks.encode(np.asfortranarray(one.mask, np.uint8))
        facts["mask"] = {
            "size": [int(side) for side in code["size"]],
            "counts": code["counts"].decode(),
        }
    return facts


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
        return best_classes(scores, self.model.dataset_meta["classes"], self.top)


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
            f"{file}: expected a test pipeline that decodes frames, got {kinds}; the demo is for "
            "models that look at RGB frames"
        )
    return steps
