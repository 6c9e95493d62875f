"""Samples and data sets of mmpose as ours, and ours as mmpose's; mmpose itself is not imported.

Host      mmengine alone: what mmpose hands out is read by its names, and what it takes is built of
          mmengine's elements, or by a class of mmpose's that the caller hands over
Instances mmpose keeps all of a picture in one sample, with an axis in front; here each has its own
Pixels    both count from the centre of the first one, in the whole picture
Mirrored  mmpose leaves the points of a flipped sample in the mirrored picture; here they go back
Known as  mmpose 1.x: PoseDataSample, the dicts of its data sets, their metainfo
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from mmengine.structures import BaseDataElement, InstanceData

from mmext.landmarks.samples import LandmarkSample

Points = Float[np.ndarray, "N K 2"]
Pairs = list[tuple[int, int]]


def pairs_of(flip_indices: Sequence[int]) -> Pairs:
    """The pairs that change places in a mirror, of mmpose's list of where each point goes.

    Raises:
        ValueError: the list does not lead back to where it starts.

    Example:
        >>> pairs_of([0, 2, 1])
        [(1, 2)]
    """
    if any(
        not 0 <= other < len(flip_indices) or flip_indices[other] != one
        for one, other in enumerate(flip_indices)
    ):
        raise ValueError(
            "expected flip_indices in which each point's partner names it as its own, got "
            f"{list(flip_indices)}; correct the data set's swap entries"
        )
    return [(one, other) for one, other in enumerate(flip_indices) if one < other]


def flip_indices_of(pairs: Sequence[Sequence[int]], num_keypoints: int) -> list[int]:
    """Where each point goes in a mirror, as mmpose has it.

    Example:
        >>> flip_indices_of([(1, 2)], num_keypoints=3)
        [0, 2, 1]
    """
    indices = list(range(num_keypoints))
    for left, right in pairs:
        indices[left], indices[right] = right, left
    return indices


def metainfo_from_mmpose(metainfo: Mapping[str, Any]) -> dict[str, Any]:
    """Names, pairs and limbs of a data set of mmpose's, before or after mmpose has parsed them.

    Args:
        metainfo: with ``keypoint_info``, as its ``configs/_base_/datasets`` write it, or with
            ``keypoint_id2name`` and ``flip_indices``, as a built data set has it.

    Returns:
        ``keypoint_names``, ``flip_pairs`` and ``skeleton``, all but the names counted from 0.

    Raises:
        ValueError: it says nothing of points.
    """
    if "keypoint_id2name" in metainfo:
        table = metainfo["keypoint_id2name"]
        names = [table[index] for index in range(len(table))]
        indices = list(metainfo.get("flip_indices") or range(len(names)))
        limbs = [tuple(limb) for limb in metainfo.get("skeleton_links") or ()]
    elif "keypoint_info" in metainfo:
        points = sorted(metainfo["keypoint_info"].values(), key=lambda one: one["id"])
        names = [one["name"] for one in points]
        place = {name: index for index, name in enumerate(names)}
        indices = [place[one.get("swap") or one["name"]] for one in points]
        links = [one["link"] for one in (metainfo.get("skeleton_info") or {}).values()]
        limbs = [(place[start], place[end]) for start, end in links]
    else:
        raise ValueError(
            "expected metainfo with keypoint_info or keypoint_id2name, got "
            f"{', '.join(metainfo) or 'nothing'}; give the metainfo of a data set of mmpose's"
        )
    return dict(keypoint_names=tuple(names), flip_pairs=pairs_of(indices), skeleton=limbs)


def metainfo_to_mmpose(
    names: Sequence[str],
    flip_pairs: Sequence[Sequence[int]] = (),
    skeleton: Sequence[Sequence[int]] = (),
    dataset_name: str = "mmext",
) -> dict[str, Any]:
    """The metainfo that a config of mmpose takes, with equal weights and widths for all points."""
    swap = {}
    for left, right in flip_pairs:
        swap[left], swap[right] = names[right], names[left]
    return {
        "dataset_name": dataset_name,
        "keypoint_info": {
            index: dict(
                name=name, id=index, color=[51, 153, 255], type="", swap=swap.get(index, "")
            )
            for index, name in enumerate(names)
        },
        "skeleton_info": {
            number: dict(link=(names[start], names[end]), id=number, color=[0, 255, 0])
            for number, (start, end) in enumerate(skeleton)
        },
        "joint_weights": [1.0] * len(names),
        "sigmas": [0.05] * len(names),
    }


def entries_from_mmpose(info: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a data set of ours lists, of a dict that one of mmpose's lists: one an instance."""
    points = _points(info["keypoints"])
    visible = _visible(info.get("keypoints_visible"), points)
    boxes = _boxes(info, "bbox", len(points))
    for number, point in enumerate(points):
        entry = {
            "img_path": info["img_path"],
            "keypoints": np.where(visible[number, :, None] > 0, point, np.nan).astype(np.float32),
            "keypoints_visible": visible[number],
            "labeled": bool((visible[number] > 0).any()),
        }
        if boxes is not None:
            entry["bbox"] = boxes[number]
        if "box_size" in info:  # of AFLW: what its errors are divided by
            entry["norm_len"] = float(np.reshape(info["box_size"], -1)[number])
        yield entry


def entry_to_mmpose(entry: Mapping[str, Any], index: int = 0) -> dict[str, Any]:
    """What a data set of mmpose's lists, of a dict that one of ours lists.

    Args:
        entry: with ``img_path``, ``keypoints`` and ``keypoints_visible``; ``bbox`` may lack.
        index: number of the entry, which mmpose's metrics ask for.

    Raises:
        ValueError: the entry has no points.
    """
    if "keypoints" not in entry:
        raise ValueError(
            "expected an entry with keypoints, got one without; mmpose's data sets list no "
            "pictures without labels, so leave those out"
        )
    points, seen = np.asarray(entry["keypoints"]), np.asarray(entry["keypoints_visible"]) > 0
    box = entry.get("bbox")
    if box is None or not np.isfinite(box).all():
        box = np.concatenate([points[seen].min(0), points[seen].max(0)]) if seen.any() else [0] * 4
    info = {
        "id": index,
        "img_id": index,
        "img_path": entry["img_path"],
        "bbox": np.asarray(box, np.float32)[None],
        "bbox_score": np.ones(1, np.float32),
        # mmpose multiplies before it masks, so what is not labelled must be a number
        "keypoints": np.where(seen[:, None], points, 0).astype(np.float32)[None],
        "keypoints_visible": seen.astype(np.float32)[None],
        "num_keypoints": int(seen.sum()),
        "iscrowd": 0,
    }
    norm_len = entry.get("norm_len")
    if norm_len is not None and np.isfinite(norm_len):
        info["box_size"] = np.array([norm_len], np.float32)
    return info


def samples_from_mmpose(sample: Any) -> list[LandmarkSample]:
    """A sample of mmpose's, for our metrics: one of ours for each instance.

    Args:
        sample: with ``gt_instances``, and with ``pred_instances`` where a model has answered.

    Raises:
        ValueError: it has other predictions than instances, or was flipped upside down.
    """
    truth, found = sample.gt_instances, sample.get("pred_instances")
    points = _points(truth.keypoints)
    visible = _visible(truth.get("keypoints_visible"), points)
    if sample.get("flip"):
        points, visible = _unmirrored(sample, points, visible)
    boxes = _boxes(truth, "bboxes", len(points))
    guessed = None if found is None else _points(found.keypoints)
    if guessed is not None and len(guessed) != len(points):
        raise ValueError(
            f"expected a prediction for each of {len(points)} instances, got {len(guessed)}; "
            "convert the samples of a top-down model"
        )
    samples = []
    for number, point in enumerate(points):
        meta = {"keypoints": point.astype(np.float32), "keypoints_visible": visible[number]}
        told = {key: sample.get(key) for key in ("img_path", "ori_shape")}
        meta |= {key: value for key, value in told.items() if value is not None}
        if boxes is not None:
            meta["bbox"] = boxes[number]
        one = LandmarkSample(metainfo=meta)
        if guessed is not None:
            one.pred_keypoints = torch.from_numpy(guessed[number].astype(np.float32))
            scores = np.asarray(found.keypoint_scores, np.float32)
            one.pred_scores = torch.from_numpy(scores.reshape(len(points), -1)[number])
        samples.append(one)
    return samples


def sample_to_mmpose(
    samples: Sequence[Any], kind: type[BaseDataElement] = BaseDataElement, index: int = 0
) -> BaseDataElement:
    """Our samples of one picture, for metrics of mmpose's: one sample of theirs.

    Args:
        samples: with ``keypoints`` and ``keypoints_visible``; with predictions or without.
        kind: mmpose.structures.PoseDataSample, where mmpose is installed.
        index: number of the picture.

    Raises:
        ValueError: there is none.
    """
    if not samples:
        raise ValueError("expected a sample or more of one picture, got none; leave it out")
    entries = [entry_to_mmpose({"img_path": None, **_meta(one)}, index) for one in samples]
    boxes = np.concatenate([one["bbox"] for one in entries])
    truth = InstanceData(
        keypoints=np.concatenate([one["keypoints"] for one in entries]),
        keypoints_visible=np.concatenate([one["keypoints_visible"] for one in entries]),
        bboxes=boxes,
        bbox_scores=np.ones(len(boxes), np.float32),
        bbox_centers=(boxes[:, :2] + boxes[:, 2:]) / 2,
        bbox_scales=boxes[:, 2:] - boxes[:, :2],
    )
    meta = {"id": index, "img_id": index, "img_path": entries[0]["img_path"]}
    if "ori_shape" in samples[0]:
        meta["ori_shape"] = samples[0].ori_shape
    if all("box_size" in one for one in entries):
        meta["box_size"] = np.concatenate([one["box_size"] for one in entries])
    made = kind(metainfo=meta, gt_instances=truth)
    if all("pred_keypoints" in one for one in samples):
        made.set_data({"pred_instances": _answers(samples, boxes)})
    return made


def _answers(samples: Sequence[Any], boxes: Float[np.ndarray, "N 4"]) -> InstanceData:
    """Predictions as mmpose has them, in arrays of numpy."""
    points, scores = (
        torch.stack([one.get(key).detach().float().cpu() for one in samples]).numpy()
        for key in ("pred_keypoints", "pred_scores")
    )
    return InstanceData(
        keypoints=points,
        keypoint_scores=scores,
        bboxes=boxes,
        bbox_scores=np.ones(len(boxes), np.float32),
    )


def _meta(sample: Any) -> dict[str, Any]:
    keys = ("img_path", "keypoints", "keypoints_visible", "bbox", "norm_len")
    return {key: sample.get(key) for key in keys if key in sample}


def _points(points: Any) -> Points:
    """Points with the axis of instances, whatever they are kept in."""
    array = np.asarray(points.detach().cpu() if isinstance(points, torch.Tensor) else points)
    return array.reshape(-1, *array.shape[-2:])[..., :2].astype(np.float64)


def _visible(seen: Any, points: Points) -> Float[np.ndarray, "N K"]:
    """Visibility as 0 and 1; some of mmpose's pipelines keep a weight of each point behind it."""
    if seen is None:
        return np.ones(points.shape[:2], np.float32)
    array = np.asarray(seen)
    flags = array[..., 0] if array.ndim == 3 else array
    return (flags.reshape(points.shape[:2]) > 0).astype(np.float32)


def _boxes(holder: Any, key: str, number: int) -> Float[np.ndarray, "N 4"] | None:
    """Boxes as left, top, right, bottom."""
    boxes = holder.get(key)
    return None if boxes is None else np.asarray(boxes, np.float32).reshape(number, 4)


def _unmirrored(
    sample: Any, points: Points, visible: Float[np.ndarray, "N K"]
) -> tuple[Points, Float[np.ndarray, "N K"]]:
    """Points of a flipped sample in its picture as it was."""
    direction = sample.get("flip_direction", "horizontal")
    if direction != "horizontal":
        raise ValueError(
            f"expected samples that are mirrored left to right at most, got {direction!r}; convert "
            "those of a test pipeline"
        )
    order = list(sample.get("flip_indices") or range(points.shape[1]))
    back = points * (-1, 1) + (sample.ori_shape[1] - 1, 0)
    return back[:, order], visible[:, order]
