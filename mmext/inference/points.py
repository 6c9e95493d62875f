"""Where a model finds the points of a picture: drawn, for a JSON file, and for a table.

Table   as DeepLabCut and lightning-pose write and read it: x, y and likelihood of each point, a
        line a frame, so their tools for looking, correcting and measuring take it
Score   the peak of a point's map; about 1 where the model is as sure as of its training pictures
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmext.data_checks.needs import parts, type_name
from mmext.errors import BadInputError
from mmext.inference.drawing import colours, draw_points
from mmext.inference.inputs import Picture
from mmext.inference.reading import Preparation
from mmext.inference.tasks import Annotated, Model, predict, prepare

Box = tuple[float, float, float, float]


class Point(NamedTuple):
    """One point: its name, where it is in pixels, and how sure the model is."""

    name: str
    x: float
    y: float
    score: float


def finds_points(pipeline: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a test pipeline is that of a model that finds points."""
    return any(type_name(step) == "PackLandmark" for _, step in parts(list(pipeline), ""))


class PointFinder:
    """The points of a picture.

    Args:
        model: with the names of the points and the limbs between them, if there are any, in
            ``dataset_meta``.
        score_thr: score above which a point is drawn; all are told.
        box: left, top, right and bottom of what bears the points; None takes the whole picture.
    """

    def __init__(self, model: Model, *, score_thr: float, box: Box | None = None) -> None:
        self.model, self.score_thr = model, score_thr
        meta = model.dataset_meta
        self.names = tuple(meta.get("keypoint_names") or ())
        self.skeleton = [tuple(limb) for limb in meta.get("skeleton") or ()]
        steps, more = list(model.cfg.test_pipeline), {}
        if box is not None:
            more["bbox"] = box
            # a step that takes whole pictures would pass over the box
            steps = [{key: step[key] for key in step if key != "whole"} for step in steps]
        self.preparation = Preparation(steps, model.cfg.filename, more)

    def annotate(self, source: Path | Picture) -> Annotated:
        """Draw the points that the model is sure of, and say all.

        Raises:
            BadInputError: the model finds no points.
        """
        picture, data = prepare(self.preparation, source)
        points = self.points(predict(self.model, data))
        size = dict(width=picture.shape[1], height=picture.shape[0])
        drawn = draw_points(
            picture,
            [(one.x, one.y) if one.score > self.score_thr else None for one in points],
            self.skeleton,
            colours(len(points)),
        )
        return drawn, {**size, "points": [facts_of(one) for one in points]}

    def points(self, sample: Any) -> list[Point]:
        """All points of a sample, in pixels of its picture."""
        if "pred_keypoints" not in sample:
            raise BadInputError(
                f"{self.model.cfg.filename}: expected a model of landmarks, whose samples have "
                f"pred_keypoints, got samples with {', '.join(sample.keys()) or 'nothing'}; give "
                "such a config"
            )
        places, scores = sample.pred_keypoints.tolist(), sample.pred_scores.tolist()
        if len(self.names) != len(places):
            self.names = tuple(f"point {number}" for number in range(1, len(places) + 1))
        return [
            Point(name, x, y, score)
            for name, (x, y), score in zip(self.names, places, scores, strict=True)
        ]


def facts_of(point: Point) -> dict[str, Any]:
    """A point for a JSON file."""
    place = dict(x=round(point.x, 2), y=round(point.y, 2))
    return {"name": point.name, **place, "score": round(point.score, 6)}


def save_table(path: Path, scorer: str, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Path:
    """Write what was found as DeepLabCut does: three lines of headings, then a line a frame.

    Args:
        path: where to write.
        scorer: who found the points, for the first heading.
        rows: number or path of each frame, and its facts.

    Returns:
        The path.
    """
    lines = [(name, facts["points"]) for name, facts in rows]
    names = [one["name"] for one in lines[0][1]]
    keys = ("x", "y", "score")
    with open(path, "w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["scorer", *[scorer] * len(keys) * len(names)])
        table.writerow(["bodyparts", *[name for name in names for _ in keys]])
        table.writerow(["coords", *["x", "y", "likelihood"] * len(names)])
        table.writerows(
            [name, *(one[key] for one in points for key in keys)] for name, points in lines
        )
    return path
