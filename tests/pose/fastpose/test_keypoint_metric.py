"""Keypoint AP is pycocotools' with 17 points, and the definition's with any other number."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmext.errors import BadInputError
from mmext.pose.fastpose.coco_dataset import PoseCocoDataset
from mmext.pose.fastpose.keypoint_metric import NAMES, CocoKeypointMetric
from mmext.pose.fastpose.layouts import KNOWN
from tests.pose.fastpose.files import annotation, coco, person, written

IMAGES = 6


def scenes(number=17, seed=0, **category):
    """A file with some people, and predictions near some of them, others, and none."""
    rng = np.random.default_rng(seed)
    annotations, found = [], {image + 1: [] for image in range(IMAGES)}
    for image in range(IMAGES):
        for _ in range(rng.integers(1, 4)):
            xy = rng.uniform(5, 45, (number, 2)).round()
            v = rng.integers(0, 3, (number, 1)) * (rng.random() < 0.85)
            one = annotation(
                len(annotations) + 1, image + 1, area=float(rng.uniform(300, 9500)),
                keypoints=np.concatenate([xy * (v > 0), v], 1).ravel().tolist(),
                num_keypoints=int((v > 0).sum()),
            )  # fmt: skip
            annotations.append(one)
            noise = rng.choice([0.3, 2, 5, 30])
            if rng.random() < 0.8:
                points = xy + rng.normal(0, noise, (number, 2))
                found[image + 1].append((points, float(rng.random()), 0))
    names = KNOWN["coco"].names if number == 17 else [f"p{one}" for one in range(number)]
    categories = [person(names, **category)]
    return coco(annotations, images=IMAGES, categories=categories), found


def sample(image, found, number=17):
    points = np.array([one for one, _, _ in found]).reshape(-1, number, 2)
    own = DetDataSample(metainfo=dict(img_id=image))
    own.pred_instances = InstanceData(
        bboxes=torch.zeros(len(found), 4),
        scores=torch.tensor([score for _, score, _ in found]),
        labels=torch.tensor([label for _, _, label in found], dtype=torch.long),
        keypoints=torch.tensor(points, dtype=torch.float32),
        keypoint_scores=torch.ones(points.shape[:2]),
    )
    return own.to_dict()


def measured(path, found, *, number=17, meta=None, rank=0, ranks=1, **more):
    metric = CocoKeypointMetric(path, **more)
    metric.dataset_meta = meta or {}
    for image, own in list(found.items())[rank::ranks]:
        metric.process(None, [sample(image, own, number)])
    scores = metric.evaluate(len(found))
    return {key.removeprefix("coco_keypoints/"): one for key, one in scores.items()}


def similarity(points, truth, sigmas):
    """OKS of the definition."""
    stated = np.reshape(truth["keypoints"], (-1, 3))
    parts = []
    for (x, y), (gx, gy, v), sigma in zip(points, stated, sigmas, strict=True):
        if v > 0:
            squared = (x - gx) ** 2 + (y - gy) ** 2
            parts.append(np.exp(-squared / (2 * truth["area"] * (2 * sigma) ** 2)))
    return np.mean(parts)


def slow_ap(data, found, sigmas, threshold):
    """Average precision at one OKS: greedy by score, 101 points of recall. All points labelled."""
    truths = {image: [] for image in found}
    for one in data["annotations"]:
        truths[one["image_id"]].append(one)
    hits, scores = [], []
    for image, own in found.items():
        free = list(truths[image])
        for points, score, _ in sorted(own, key=lambda one: -one[1])[:20]:
            values = [similarity(points, one, sigmas) for one in free]
            best = int(np.argmax(values)) if values else 0
            hit = bool(values) and values[best] >= threshold
            if hit:
                del free[best]
            hits.append(hit)
            scores.append(score)
    order = np.argsort([-one for one in scores], kind="stable")
    hit = np.array(hits)[order]
    recall = hit.cumsum() / len(data["annotations"])
    precision = hit.cumsum() / np.arange(1, len(hit) + 1)
    best = [precision[recall >= level].max(initial=0) for level in np.linspace(0, 1, 101)]
    return np.mean(best)


def all_labelled(number, seed):
    data, found = scenes(number, seed)
    for one in data["annotations"]:
        one["keypoints"][2::3] = [2] * number
        one["num_keypoints"] = number
    return data, found


@pytest.mark.parametrize("number", [5, 17])
def test_it_equals_the_definition(tmp_path, number):
    sigmas = list(np.linspace(0.04, 0.12, number))
    for seed in range(3):
        data, found = all_labelled(number, seed)
        scores = measured(written(tmp_path, data), found, number=number, sigmas=sigmas)
        each = [slow_ap(data, found, sigmas, one) for one in np.linspace(0.5, 0.95, 10)]
        assert 0.05 < scores["AP"] < 0.9
        np.testing.assert_allclose(scores["AP"], np.mean(each), atol=2e-5)
        np.testing.assert_allclose([scores["AP50"], scores["AP75"]], [each[0], each[5]], atol=2e-5)


def test_17_points_are_judged_as_pycocotools_judges_them(tmp_path):
    data, found = scenes(17)
    path = written(tmp_path, data)
    results = [
        dict(image_id=image, category_id=1, score=score)
        | dict(keypoints=np.concatenate([points, np.ones((17, 1))], 1).ravel().tolist())
        for image, own in found.items()
        for points, score, _ in own
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
        for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
            step()
    scores = measured(path, found)
    assert list(scores) == list(NAMES)
    np.testing.assert_allclose(list(scores.values()), evaluation.stats, atol=2e-5)
    assert 0.05 < scores["AP"] < 0.9


def test_a_perfect_prediction_of_the_data_sets_own_points_is_1(tmp_path):
    """Half a pixel that the data set adds is taken off again, and its joints are mapped."""
    data, _ = scenes(17, seed=3)
    path = written(tmp_path, data)
    for more in ({}, dict(layout="posetrack15"), dict(point_offset=0)):
        own = PoseCocoDataset(ann_file=path, data_prefix=dict(img=""), **more)
        found = {
            info["img_id"]: [(one["keypoints"][:, :2], 0.5, 0) for one in info["instances"]]
            for info in map(own.get_data_info, range(len(own)))
        }
        number = len(own.metainfo["keypoint_names"])
        # A sigma so small that half a pixel costs everything.
        sigmas = [1e-3] * number
        scores = measured(path, found, number=number, meta=own.metainfo, sigmas=sigmas)
        assert scores["AP"] > 0.999
        shifted = {image: [(p - 0.5, *rest) for p, *rest in x] for image, x in found.items()}
        assert measured(path, shifted, number=number, meta=own.metainfo, sigmas=sigmas)["AP"] < 0.1


def test_nothing_found_is_0(tmp_path):
    data, found = scenes()
    path = written(tmp_path, data)
    assert measured(path, {image: [] for image in found}) == dict.fromkeys(NAMES, 0.0)
    with_one = {image: own if image == 1 else [] for image, own in found.items()}
    assert 0 <= measured(path, with_one)["AP"] < measured(path, found)["AP"]


def test_20_objects_a_picture_count(tmp_path):
    data, _ = all_labelled(5, 0)
    data["annotations"] = data["annotations"][:1]
    image = data["annotations"][0]["image_id"]
    right = np.reshape(data["annotations"][0]["keypoints"], (5, 3))[:, :2]
    far = [(right + 500, 0.9, 0)] * 20
    for number, expected in ((19, 0.05), (20, 0.0)):
        found = {image: [*far[:number], (right, 0.1, 0)]}
        scores = measured(written(tmp_path, data), found, number=5, sigmas=[0.05] * 5)
        np.testing.assert_allclose(scores["AP"], expected, atol=1e-6)


def test_classes_without_points_are_not_judged(tmp_path):
    data, found = scenes()
    alone = measured(written(tmp_path, data), found)
    data["categories"].insert(0, dict(id=2, name="car"))
    data["annotations"].append(dict(id=99, image_id=1, category_id=2, bbox=[1, 1, 9, 9]))
    cars = {
        image: [(points, score, 1) for points, score, _ in own] + [(np.zeros((17, 2)), 0.9, 0)]
        for image, own in found.items()
    }
    meta = dict(classes=("person", "car"))  # mmdet numbers them in the file's order
    assert measured(written(tmp_path, data), cars, meta=meta) == alone


def test_predictions_are_written_with_all_their_points(tmp_path):
    data, found = scenes(5)
    prefix = str(tmp_path / "out")
    more = dict(number=5, outfile_prefix=prefix)
    assert measured(written(tmp_path, data), found, **more, format_only=True) == {}
    results = json.loads((tmp_path / "out.keypoints.json").read_text())
    assert len(results) == sum(map(len, found.values()))
    assert all(len(one["keypoints"]) == 15 and len(one["bbox"]) == 4 for one in results)
    assert {one["image_id"] for one in results} == {image for image, own in found.items() if own}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (dict(number=5), "expected a sigma for each of 5 keypoints, got none; write them"),
        (dict(number=5, sigmas=[0.1] * 4), "expected a sigma for each of 5 keypoints, got 4; "),
    ],
)
def test_sigmas_that_do_not_fit_get_a_sentence(tmp_path, more, sentence):
    data, found = scenes(5)
    with pytest.raises(BadInputError, match=sentence):
        measured(written(tmp_path, data), found, **more)


def test_other_counts_and_other_models_get_a_sentence(tmp_path):
    data, _ = scenes(5)
    _, found = scenes(17)
    with pytest.raises(BadInputError, match="5 keypoints of each object, got 17; set num_keypoi"):
        measured(written(tmp_path, data), found, sigmas=[0.1] * 5)
    metric = CocoKeypointMetric("none.json")
    bare = sample(1, [])
    del bare["pred_instances"]["keypoints"]
    with pytest.raises(BadInputError, match="got no keypoints; use a model"):
        metric.process(None, [bare])
    with pytest.raises(BadInputError, match="expected outfile_prefix with format_only"):
        CocoKeypointMetric("none.json", format_only=True)


def on_a_rank(rank, path, ranks):
    _, found = scenes()
    return measured(path, found, rank=rank if ranks == 2 else 0, ranks=ranks)


def test_two_ranks_judge_all_predictions(two_ranks, tmp_path):
    data, found = scenes()
    path = written(tmp_path, data)
    first, second = two_ranks(on_a_rank, path, 2)
    assert first == second == pytest.approx(measured(path, found))
