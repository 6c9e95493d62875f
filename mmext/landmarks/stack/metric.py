"""How far predicted points are from the truth, by a stated rule."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from mmext.errors import BadInputError
from mmext.landmarks import nme
from mmext.landmarks.curves import draw_curves
from mmext.registry import METRICS

logger = logging.getLogger("mmext")

AVERAGES = ("macro", "micro")


@METRICS.register_module()
class LandmarkNME(BaseMetric):
    """The mean error over a length of the face, and what is derived from it, all in percent.

    ``NME``, ``AUC@8`` and ``FR@8`` (area and failure rate of the faces' errors at 8 %), ``PCK@5``
    (share of points within 5 %), ``left_out`` (faces without a point or a length); the same for
    each subset of the data set as ``<subset>/NME`` and so on. The log says the rule beside them.

    Args:
        norm: the length: ``outer_eye``, ``pupil``, ``sqrt_area``, ``bbox_long``, ``bbox_diag``,
            ``side`` (of the crop) or ``norm_len`` (the data set's).
        average: ``macro``, over the points of a face and then over faces, or ``micro``, over all
            points at once.
        thresholds: of AUC and failure rate, as shares of the length.
        pck: thresholds of PCK.
        eye_points: points of the left and of the right eye for the first two norms; those of 68
            points if None.
        curve: a file for a picture of the curve of errors.
        curve_up_to: the largest error of that picture.
        **metric_cfg: mmengine's: ``collect_device``, ``prefix``, ``collect_dir``.

    Raises:
        ValueError: another norm or average.
    """

    default_prefix = "landmarks"

    def __init__(
        self,
        norm: str = "outer_eye",
        average: str = "macro",
        thresholds: Sequence[float] = (0.07, 0.08),
        pck: Sequence[float] = (0.05, 0.1),
        eye_points: Sequence[Sequence[int]] | None = None,
        curve: str | None = None,
        curve_up_to: int | float = 0.1,
        **metric_cfg: Any,
    ) -> None:
        super().__init__(**metric_cfg)
        for name, value, known in (("norm", norm, nme.NORMS), ("average", average, AVERAGES)):
            if value not in known:
                raise ValueError(f"{name} must be one of {known}, got {value!r}; give one of these")
        self.norm, self.average, self.eye_points = norm, average, eye_points
        self.thresholds, self.pck = tuple(thresholds), tuple(pck)
        self.curve, self.curve_up_to = curve, curve_up_to

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep prediction, truth, box and lengths of each face."""
        for sample in data_samples:
            predicted = torch.as_tensor(sample["pred_keypoints"]).detach().double().cpu().numpy()
            truth = np.asarray(sample["keypoints"], dtype=np.float64)
            if predicted.shape != truth.shape:
                raise ValueError(
                    f"LandmarkNME: expected predictions of shape {truth.shape}, as the truth has, "
                    f"got {predicted.shape}; set num_keypoints of the net to that of the data set"
                )
            visible = np.asarray(sample["keypoints_visible"], dtype=np.float64)
            self.results.append(
                dict(
                    predicted=predicted,
                    keypoints=truth,
                    visible=visible * np.isfinite(truth).all(1),
                    bbox_xyxy=np.asarray(sample.get("bbox", [np.nan] * 4), dtype=np.float64),
                    side=_side(sample),
                    norm_len=float(sample.get("norm_len", np.nan)),
                    subset=str(sample.get("subset", "")),
                )
            )

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """All numbers, of all faces and of each subset."""
        if not results:
            raise BadInputError(
                "LandmarkNME: expected samples to judge, got none; take a data set that has some"
            )
        arrays = {
            key: np.stack([one[key] for one in results])
            for key in results[0]
            if key not in ("subset", "predicted")
        }
        length = nme.lengths(self.norm, eyes=self.eye_points, **arrays)
        errors = nme.normalised_errors(
            np.stack([one["predicted"] for one in results]),
            np.nan_to_num(arrays["keypoints"]),
            arrays["visible"],
            length,
        )
        subsets = np.array([one["subset"] for one in results])
        found = self._numbers(errors, "all")
        drawn = {"": nme.face_errors(errors)}
        for name in sorted({str(one) for one in subsets} - {""}):
            part = errors[subsets == name]
            drawn[name] = nme.face_errors(part)
            found.update({f"{name}/{k}": v for k, v in self._numbers(part, name).items()})
        if self.curve:
            draw_curves(drawn, self.curve, rule=self.rule, up_to=self.curve_up_to)
        return found

    @property
    def rule(self) -> str:
        """What the errors are divided by and how they are averaged, in words."""
        eyes = f" of points {tuple(map(tuple, self.eye_points))}" if self.eye_points else ""
        return f"{self.norm}{eyes}, {self.average}"

    def _numbers(self, errors: np.ndarray, name: str) -> dict[str, float]:
        faces = nme.face_errors(errors)
        left_out = int(np.isnan(faces).sum())
        mean = nme.macro if self.average == "macro" else nme.micro
        found = {"NME": 100 * mean(errors)}
        for at in self.thresholds:
            found[f"AUC@{100 * at:g}"] = 100 * nme.area_under_curve(faces, at)
            found[f"FR@{100 * at:g}"] = 100 * nme.failure_rate(faces, at)
        for at in self.pck:
            found[f"PCK@{100 * at:g}"] = 100 * nme.correct_points(errors, at)
        counted = len(faces) - left_out
        says = ", ".join(f"{key} {value:.2f} %" for key, value in found.items())
        logger.info(
            "landmarks, %s: %s (%s; %d faces, %d left out: no visible point or no length)",
            *(name, says, self.rule, counted, left_out),
        )
        if not counted:
            logger.warning(
                "landmarks, %s: expected faces with a visible point and a %s above 0 to divide by, "
                "got none of %d, so no number; correct labels and lengths, or take another norm",
                *(name, self.norm, left_out),
            )
        return {**found, "left_out": float(left_out)}


def _side(sample: Mapping[str, Any]) -> float:
    """Side of the crop, in pixels of the picture."""
    if "crop_matrix" not in sample or "input_size" not in sample:
        return float("nan")
    matrix = np.asarray(sample["crop_matrix"], dtype=np.float64)
    height, width = sample["input_size"]
    return float(np.sqrt(height * width / abs(np.linalg.det(matrix[:, :2]))))
