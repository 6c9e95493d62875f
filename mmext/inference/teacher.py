"""What a teacher says of one picture, in numbers for a file: objects, or a map of classes.

Map     a PNG of the picture's size; 255 where the best class is less likely than the threshold
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float

from mmext.errors import BadInputError
from mmext.files import replacing, write_whole
from mmext.inference.labelling import Record
from mmext.inference.reading import Preparation
from mmext.inference.tasks import Detector, Model, facts_of, predict, prepare
from mmext.inference.views import samples, whole

IGNORED = 255


class BoxTeacher:
    """Boxes and masks of a detector.

    Args:
        model: the detector.
        images: folder of the pictures.
        floor: score below which boxes are forgotten.
    """

    def __init__(self, model: Model, images: Path, *, floor: float) -> None:
        self.model, self.images = model, images
        self.detector = Detector(model, score_thr=floor)

    def __call__(self, name: str) -> Record:
        """What it finds on a picture, the best last.

        Raises:
            BadInputError: it is no picture, or the model finds no boxes.
        """
        picture, data = prepare(self.detector.preparation, self.images / name)
        several = isinstance(data["inputs"], list)
        found = whole(self.model, data) if several else predict(self.model, data)
        if "pred_instances" not in found:
            raise BadInputError(
                f"{self.model.cfg.filename}: expected a detector, whose samples have "
                f"pred_instances, got samples with {', '.join(found.keys()) or 'nothing'}; give "
                "such a config"
            )
        objects = []
        for one in self.detector.objects(found):
            facts = facts_of(one)
            del facts["class"]
            objects.append({"label": int(one.label), **facts})
        height, width = picture.shape[:2]
        return dict(file=name, width=width, height=height, objects=objects)


class MapTeacher:
    """Maps of a segmentor, written as they are made.

    Args:
        model: the segmentor.
        images: folder of the pictures.
        maps: folder of the maps: ``a.jpg`` has the map ``a.jpg.png``.
        score_thr: probability that the best class of a pixel must have.
        confidence: folder for those probabilities, as float16; None keeps none.
    """

    def __init__(
        self, model: Model, images: Path, maps: Path, *, score_thr: float, confidence: Path | None
    ) -> None:
        self.model, self.images, self.maps = model, images, maps
        self.score_thr, self.confidence = score_thr, confidence
        self.preparation = Preparation(model.cfg.test_pipeline, model.cfg.filename)
        self.number = len(model.dataset_meta["classes"])
        if self.number > IGNORED:
            raise BadInputError(
                f"{model.cfg.filename}: expected at most {IGNORED} classes, which a PNG of 8 bits "
                f"holds beside the ignored pixels, got {self.number}; this version writes no other"
            )

    def __call__(self, name: str) -> Record:
        """Write a picture's map; returns how many pixels of each class it has.

        Raises:
            BadInputError: it is no picture, or the model gives no logits.
        """
        picture, data = prepare(self.preparation, self.images / name)
        classes, scores = self.best(data)
        classes = np.where(scores >= self.score_thr, classes, IGNORED).astype(np.uint8)
        write_png(self.maps / f"{name}.png", classes)
        if self.confidence:
            write_array(self.confidence / f"{name}.npy", scores.astype(np.float16))
        pixels = np.bincount(classes.ravel(), minlength=IGNORED + 1)
        height, width = picture.shape[:2]
        return dict(file=name, width=width, height=height, pixels=pixels[: self.number].tolist())

    def best(self, data: Mapping[str, Any]) -> tuple[np.ndarray, Float[np.ndarray, "H W"]]:
        """The best class of each pixel and its probability, the mean over all views."""
        total, views = torch.zeros(()), 0
        for found in samples(self.model, data):
            if "seg_logits" not in found:
                raise BadInputError(
                    f"{self.model.cfg.filename}: expected a segmentor, whose samples have "
                    f"seg_logits, got samples with {', '.join(found.keys()) or 'nothing'}; give "
                    "such a config"
                )
            total = total + probabilities(found.seg_logits.data.float())
            views += 1
        scores, classes = (total / views).max(0)
        return classes.cpu().numpy(), scores.cpu().numpy()


def probabilities(logits: Float[torch.Tensor, "K H W"]) -> Float[torch.Tensor, "C H W"]:
    """Of each class; a single logit is that of the second of two.

    Example:
        >>> probabilities(torch.zeros(1, 1, 1)).flatten()
        tensor([0.5000, 0.5000])
    """
    if len(logits) > 1:
        return logits.softmax(0)
    second = logits.sigmoid()
    return torch.cat([1 - second, second])


def write_png(file: Path, classes: np.ndarray) -> None:
    """Write a map so that a file of this name is a whole one."""
    _, png = cv2.imencode(".png", classes)
    write_whole(file, png.tobytes())


def write_array(file: Path, values: np.ndarray) -> None:
    """Write an array likewise."""
    with replacing(file) as part, part.open("wb") as out:
        np.save(out, values)


def classes_of(model: Any) -> tuple[str, ...]:
    """The names that its checkpoint, or its config, gives its classes."""
    return tuple(model.dataset_meta["classes"])
