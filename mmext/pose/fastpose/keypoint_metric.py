"""Average precision of keypoints, as COCO counts it, for any number of points.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      mmengine.BaseMetric, pycocotools
Measure   OKS = mean over labelled points of exp(-d^2 / (2 A (2 sigma)^2)), A the object's area;
          AP over OKS .50 to .95, 20 objects a picture. The area of a prediction is that of all its
          points, so all are written
"""

import contextlib
import io
import os.path
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.fileio import dump, load
from mmengine.logging import MMLogger
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmext.errors import BadInputError
from mmext.pose.fastpose.annotations import PointReader, reader_of
from mmext.registry import METRICS

NAMES = ("AP", "AP50", "AP75", "AP_m", "AP_l", "AR", "AR50", "AR75", "AR_m", "AR_l")
"""In pycocotools' order; m and l are objects of 32^2 to 96^2 pixels, and larger."""

MOST = 20
"""Objects of a picture that count, the best first."""


@METRICS.register_module()
class CocoKeypointMetric(BaseMetric):
    """COCO's keypoint AP and AR of ``pred_instances`` with bboxes, scores, labels and keypoints.

    The file's points are read as the data set reads them: its layout, its joint_map and its
    point_offset hold here too. No prediction at all is an AP of 0; -1 means that the file has no
    such object.

    Args:
        ann_file: the file that the predictions are judged by.
        sigmas: spread of each point; None takes the data set's.
        outfile_prefix: where to keep the predictions, ``<prefix>.keypoints.json``: COCO's form, and
            a bbox in each, which ``mmext track`` wants and pycocotools must not see.
        format_only: write the predictions and judge nothing.
        backend_args: as in mmengine, for the file.
        collect_device: as in mmengine.
        prefix: before the names of the numbers.

    Raises:
        BadInputError: sigmas are unknown, or there are more or fewer points than sigmas.
    """

    default_prefix = "coco_keypoints"

    def __init__(
        self,
        ann_file: str,
        *,
        sigmas: Sequence[float] | None = None,
        outfile_prefix: str | None = None,
        format_only: bool = False,
        backend_args: dict[str, Any] | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if format_only and outfile_prefix is None:
            raise BadInputError(
                "expected outfile_prefix with format_only, since nothing else is made, got none; "
                "say where the predictions shall go"
            )
        self.ann_file, self.sigmas = ann_file, sigmas
        self.outfile_prefix, self.format_only = outfile_prefix, format_only
        self.backend_args = backend_args

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep the predictions of a batch."""
        for sample in data_samples:
            found = sample["pred_instances"]
            missing = [key for key in ("keypoints", "keypoint_scores") if key not in found]
            if missing:
                raise BadInputError(
                    f"expected keypoints and keypoint_scores of predictions, got no {missing[0]}; "
                    "use a model with mmext.MTNRoIHead"
                )
            keys = ("bboxes", "scores", "labels", "keypoints", "keypoint_scores")
            arrays = {key: found[key].float().cpu().numpy() for key in keys}
            self.results.append((sample["img_id"], arrays))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Write the predictions of all ranks, and judge them."""
        logger = MMLogger.get_current_instance()
        truth, reader = self.truth()
        predictions = self.predictions(results, truth, reader)
        with tempfile.TemporaryDirectory() as folder:
            prefix = self.outfile_prefix or os.path.join(folder, "found")
            dump(predictions, f"{prefix}.keypoints.json")
        if self.format_only:
            logger.info(f"predictions are in {self.outfile_prefix}.keypoints.json")
            return {}
        sigmas = self.sigmas_for(reader)
        if not predictions:
            logger.warning("no object was found, so every number is 0")
            return dict.fromkeys(NAMES, 0.0)
        categories = sorted(reader.maps)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            stats = judged(truth, predictions, sigmas, categories, [one for one, _ in results])
        logger.info("\n" + "\n".join(x for x in printed.getvalue().splitlines() if "@[" in x))
        return {name: round(float(one), 6) for name, one in zip(NAMES, stats, strict=True)}

    def truth(self) -> tuple[COCO, PointReader]:
        """The file in the data set's layout, with what pycocotools cannot do without."""
        meta = self.dataset_meta or {}
        data = load(self.ann_file, backend_args=self.backend_args)
        wanted = [
            one for one in data["categories"] if one["name"] in meta.get("classes", (one["name"],))
        ]
        reader = reader_of(
            wanted, file=str(self.ann_file), metainfo=meta, joint_map=meta.get("joint_map")
        )
        coco = COCO()
        coco.dataset = {**data, "annotations": [stated(one, reader) for one in data["annotations"]]}
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
        return coco, reader

    def predictions(
        self, results: list[Any], truth: COCO, reader: PointReader
    ) -> list[dict[str, Any]]:
        """COCO's results: all points of every object whose class has points."""
        classes = (self.dataset_meta or {}).get("classes")
        names = {one["name"]: key for key, one in truth.cats.items()}
        # mmdet numbers the classes in the file's order
        ids = [key for name, key in names.items() if classes is None or name in classes]
        offset = (self.dataset_meta or {}).get("point_offset", 0.0)
        number = len(reader.layout.names)
        found = []
        for image, arrays in results:
            points, labels = arrays["keypoints"], arrays["labels"].astype(int)
            if len(points) and points.shape[1] != number:
                raise BadInputError(
                    f"{self.ann_file}: expected {number} keypoints of each object, got "
                    f"{points.shape[1]}; set num_keypoints={number} in the model's heads"
                )
            rows = np.concatenate([points - offset, arrays["keypoint_scores"][..., None]], -1)
            left, top, right, bottom = arrays["bboxes"].T.reshape(4, -1)
            boxes = np.stack([left, top, right - left, bottom - top], 1).round(3)
            found += [
                dict(
                    image_id=image,
                    category_id=ids[labels[row]],
                    keypoints=rows[row].round(4).ravel().tolist(),
                    bbox=boxes[row].tolist(),
                    score=float(arrays["scores"][row]),
                )
                for row in range(len(labels))
                if ids[labels[row]] in reader.maps
            ]
        return found

    def sigmas_for(self, reader: PointReader) -> np.ndarray:
        """The sigmas that are given, else those of the layout."""
        sigmas = self.sigmas or reader.layout.sigmas
        number = len(reader.layout.names)
        if sigmas is None or len(sigmas) != number:
            got = "none" if sigmas is None else str(len(sigmas))
            raise BadInputError(
                f"{self.ann_file}: expected a sigma for each of {number} keypoints, got {got}; "
                "write them into metainfo of the data set, or give sigmas to CocoKeypointMetric "
                "(0.05 each where nobody measured them)"
            )
        return np.asarray(sigmas, float)


def stated(annotation: Mapping[str, Any], reader: PointReader) -> dict[str, Any]:
    """An annotation with points in the layout, their number, an area and iscrowd."""
    points = reader.points(annotation)
    if points is None:
        points = np.zeros((len(reader.layout.names), 3), np.float32)
    box = annotation.get("bbox") or [0, 0, 0, 0]
    return {
        **annotation,
        "keypoints": points.astype(float).ravel().tolist(),
        "num_keypoints": int((points[:, 2] > 0).sum()),
        "area": annotation.get("area", box[2] * box[3]),
        "iscrowd": annotation.get("iscrowd", 0),
        "bbox": box,
    }


def judged(
    truth: COCO,
    predictions: list[dict[str, Any]],
    sigmas: np.ndarray,
    categories: Sequence[Any],
    images: Sequence[Any],
) -> np.ndarray:
    """The ten numbers of pycocotools."""
    # With boxes it would take their area instead of that of the points.
    bare = [{key: one[key] for key in one if key != "bbox"} for one in predictions]
    evaluation = COCOeval(truth, truth.loadRes(bare), "keypoints")
    evaluation.params.kpt_oks_sigmas = sigmas
    evaluation.params.maxDets = [MOST]
    evaluation.params.catIds = list(categories)
    evaluation.params.imgIds = sorted(set(images))
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats
