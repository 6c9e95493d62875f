"""The score from which on predictions are drawn: where as many are wrong as are missing.

Below it, wrong boxes hide what a detector can do; above it, missing ones do.
"""

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def balanced_score(coco_file: str, predictions: list[dict[str, Any]]) -> float:
    """The score at which precision and recall are closest to each other, at an IoU of 0.5.

    Args:
        coco_file: ground truth of one class.
        predictions: of each image, as ``tools/test.py --out`` leaves them: ``img_id`` and
            ``pred_instances`` with ``bboxes`` (N, 4) as corners in pixels and ``scores`` (N,).

    Returns:
        the score of a prediction; 0 where nothing is found.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(coco_file)
        category = truth.getCatIds()[0]
        found = [
            dict(
                image_id=one["img_id"],
                category_id=category,
                bbox=[left, top, right - left, bottom - top],
                score=score,
            )
            for one in predictions
            for (left, top, right, bottom), score in zip(
                one["pred_instances"]["bboxes"].tolist(),
                one["pred_instances"]["scores"].tolist(),
                strict=True,
            )
        ]
        if not found:
            return 0.0
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.params.recThrs = np.linspace(0, 1, 1001)
        evaluation.evaluate()
        evaluation.accumulate()
    # (R,): of all sizes, the largest number of predictions an image
    precision = evaluation.eval["precision"][0, :, 0, 0, -1]
    scores = evaluation.eval["scores"][0, :, 0, 0, -1]
    reached = scores > 0  # precision is 0 at recalls that are never reached
    gap = np.where(reached, abs(precision - evaluation.params.recThrs), np.inf)
    return float(scores[gap.argmin()])
