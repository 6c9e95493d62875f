"""PoseTrack's numbers, against a loop that follows poseval, and its crashes."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from mmext.errors import BadInputError
from mmext.pose.fastpose.posetrack_metric import PoseHOTAMetric, PoseTrackMetric
from tests.pose.fastpose.tracked import clip, frame, person

NAMES = ("nose", "neck", "tail")


def score(metric, *videos, whole: bool = True) -> dict[str, float]:
    metric.dataset_meta = dict(keypoint_names=NAMES)
    for frames in videos:
        parts = [frames] if whole else [[one] for one in frames]
        for part in parts:
            metric.process({}, [clip(part)])
    return metric.evaluate(len(videos))


def walk(frames: int = 10, swap_at: int | None = None, **changes: Any) -> list:
    """Two people; from ``swap_at`` the tracker takes each for the other."""
    told = []
    for t in range(frames):
        people = [(0, person(t)), (1, person(200 - t))]
        names = (8, 7) if swap_at is not None and t >= swap_at else (7, 8)
        found = [(name, points) for name, (_, points) in zip(names, people, strict=True)]
        told.append(frame(people, found, t, **changes))
    return told


def test_a_perfect_tracker_has_100():
    told = score(PoseTrackMetric(), walk())
    for name in ("MOTA", "MOTA_all_frames", "MOTP", "precision", "recall", "IDF1", "MOTA_neck"):
        assert told[f"posetrack/{name}"] == pytest.approx(100), name
    hota = score(PoseHOTAMetric(), walk())
    assert hota == {f"posetrack/{n}": pytest.approx(100) for n in ("HOTA", "DetA", "AssA", "LocA")}


def test_one_swap_costs_each_point_two_of_its_objects():
    told = score(PoseTrackMetric(), walk(10, swap_at=5))
    assert told["posetrack/MOTA"] == pytest.approx(100 - 100 * 2 / 18)  # 9 frames of two people
    assert told["posetrack/MOTA_all_frames"] == pytest.approx(100 - 100 * 2 / 20)
    assert told["posetrack/switches"] == 6
    assert told["posetrack/IDF1"] == 50


def test_the_last_frame_counts_if_asked_for():
    frames = walk(10, swap_at=9)  # the swap is in the last one
    assert score(PoseTrackMetric(), frames)["posetrack/MOTA"] == pytest.approx(100)
    told = score(PoseTrackMetric(poseval_compat=False), frames)
    assert told["posetrack/MOTA"] == told["posetrack/MOTA_all_frames"] == pytest.approx(90)


def noisy(seed: int, frames: int = 12) -> list:
    """Points and people missing here and there, frames without people, identities exchanged."""
    rng = np.random.default_rng(seed)
    told = []
    for t in range(frames):
        true, found = [], []
        for identity in range(3):
            points = person(100 * identity + t)
            points[:, 2] = rng.random(3) > 0.2
            if rng.random() > 0.3:
                true.append((identity, points))
            if rng.random() > 0.3:
                guess = points + np.array([1, 1, 0]) * rng.normal(scale=8, size=(3, 3))
                guess[:, 2] = rng.random(3) > 0.2
                found.append((10 + (identity + (rng.random() > 0.8)), guess))
        found = list(dict(found).items())
        told.append(frame(true, found, t))
    return told


def poseval(videos: list) -> dict[str, list[float]]:
    """MOTA, MOTP, precision and recall of each point, by the walk of poseval and py-motmetrics."""
    names = ("objects", "matches", "misses", "false_positives", "switches", "distance")
    sums = [dict.fromkeys(names, 0.0) for _ in NAMES]
    for video in videos:
        people = [one for one in video if one.metainfo["instances"]][:-1]
        for k, total in enumerate(sums):
            last: dict[int, int] = {}
            for one in people:
                true, found = points_of(one)
                if not true or not found:
                    total["objects"] += 1
                    total["misses"] += 1
                    total["false_positives"] += 1
                    continue
                true = {i: p for i, p in true.items() if p[k, 2] > 0}
                found = {i: p for i, p in found.items() if p[k, 2] > 0}
                count(total, last, true, found, k)
    return dict(
        MOTA=[ratio(1, s["misses"] + s["switches"] + s["false_positives"], s) for s in sums],
        precision=[s["matches"] / (s["matches"] + s["false_positives"]) for s in sums],
        recall=[s["matches"] / s["objects"] for s in sums],
        MOTP=[1 - s["distance"] / s["matches"] if s["matches"] else 0 for s in sums],
    )


def ratio(one: float, wrong: float, sums: dict[str, float]) -> float:
    return one - wrong / sums["objects"] if sums["objects"] else math.nan


def points_of(sample) -> tuple[dict, dict]:
    """Persons with any point."""
    true = {one["track_id"]: one["keypoints"] for one in sample.metainfo["instances"]}
    own = sample.pred_track_instances
    found = {
        int(i): np.concatenate([p.numpy(), s.numpy()[:, None]], 1)
        for i, p, s in zip(own.instances_id, own.keypoints, own.keypoint_scores, strict=True)
    }
    keep = [{i: p for i, p in one.items() if (p[:, 2] > 0).any()} for one in (true, found)]
    return keep[0], keep[1]


def count(total: dict[str, float], last: dict[int, int], true: dict, found: dict, k: int) -> None:
    """One point of one frame: what was together stays, the rest is assigned."""
    far = {(i, j): math.dist(true[i][k, :2], found[j][k, :2]) / 30 for i in true for j in found}
    near = {pair: d for pair, d in far.items() if d <= 0.5}
    pairs = [(i, last[i]) for i in true if (i, last.get(i)) in near]
    rest = [
        (i, j) for i, j in near if i not in {a for a, _ in pairs} and j not in {b for _, b in pairs}
    ]
    rows, columns = (sorted({pair[side] for pair in rest}) for side in (0, 1))
    cost = np.array([[near.get((i, j), 1e9) for j in columns] for i in rows])
    if rest:
        for a, b in zip(*linear_sum_assignment(cost), strict=True):
            i, j = rows[a], columns[b]
            if (i, j) in rest:
                total["switches"] += last.get(i, j) != j
                last[i] = j
                pairs.append((i, j))
    total["objects"] += len(true)
    total["matches"] += len(pairs)
    total["misses"] += len(true) - len(pairs)
    total["false_positives"] += len(found) - len(pairs)
    total["distance"] += sum(near[pair] for pair in pairs)


@pytest.mark.parametrize("seed", range(5))
def test_the_numbers_are_those_of_poseval(seed):
    videos = [noisy(seed), [*noisy(seed + 100)]]
    for one in videos[1]:
        one.set_metainfo(dict(video_id=2))
    told = score(PoseTrackMetric(), *videos)
    for name, values in poseval(videos).items():
        assert told[f"posetrack/{name}"] == pytest.approx(100 * np.mean(values)), name


def test_single_frames_in_any_order_and_twice_are_the_same_video():
    frames = noisy(3)
    whole = score(PoseTrackMetric(), frames)
    mixed = [frames[i] for i in np.random.default_rng(0).permutation(len(frames))]
    assert score(PoseTrackMetric(), [*mixed, frames[4]], whole=False) == whole


def of_one_rank(rank: int) -> dict[str, float]:
    """One rank has two videos, the other one, and a frame that the first has too."""
    videos = [noisy(0), noisy(100), noisy(200)]
    for number, frames in enumerate(videos):
        for one in frames:
            one.set_metainfo(dict(video_id=number))
    own = [videos[0], videos[2]] if rank == 0 else [videos[1], videos[2][:1]]
    return score(PoseTrackMetric(), *own)


def test_two_ranks_score_the_videos_of_both(two_ranks):
    first, second = two_ranks(of_one_rank)
    videos = [noisy(0), noisy(100), noisy(200)]
    for number, frames in enumerate(videos):
        for one in frames:
            one.set_metainfo(dict(video_id=number))
    alone = score(PoseTrackMetric(), *videos)
    assert first == second == pytest.approx(alone)


def test_a_point_never_labelled_is_left_out_and_not_zero():
    frames = [
        frame([(0, person(t, missing=[2]))], [(5, person(t))], t, num_points=3) for t in range(4)
    ]
    told = score(PoseTrackMetric(), frames)
    assert told["posetrack/MOTA"] == 100
    assert math.isnan(told["posetrack/MOTA_tail"])
    assert told["posetrack/points_left_out"] == 1
    assert score(PoseHOTAMetric(), frames)["posetrack/HOTA"] == pytest.approx(100)


def test_points_in_a_region_to_be_ignored_do_not_count():
    region = [(150.0, -10.0), (250.0, -10.0), (250.0, 100.0), (150.0, 100.0)]
    frames = [
        frame([(0, person(t))], [(5, person(t)), (6, person(200))], t, ignore_regions=[region])
        for t in range(4)
    ]
    assert score(PoseTrackMetric(), frames)["posetrack/MOTA"] == 100
    for one in frames:
        one.set_metainfo(dict(ignore_regions=[]))
    assert score(PoseTrackMetric(), frames)["posetrack/MOTA"] == 0


def test_what_makes_poseval_fail_has_an_answer():
    nobody = frame([], [], 4)
    headless = [frame([(0, person(0))], [(5, person(0))], t) for t in range(3)]
    for one in headless:
        one.metainfo["instances"][0]["head_box"] = [5, 5, 5, 5]
    for frames, mota in (
        ([*walk(4), nobody], 100),  # a frame without people
        ([frame([(0, person(0))], [], t) for t in range(3)], -100),  # nobody found, anywhere
        (headless, -100),  # a head without size
    ):
        assert score(PoseTrackMetric(), frames)["posetrack/MOTA"] == pytest.approx(mota)
    # one frame, which poseval drops: no number, and no crash
    assert math.isnan(score(PoseTrackMetric(), walk(1))["posetrack/MOTA"])


def test_frames_that_nobody_labelled_count_for_nothing():
    frames = walk(6)
    frames[3] = frame([], [(5, person(0))], 3, is_labeled=False)
    assert score(PoseTrackMetric(), frames)["posetrack/MOTA_all_frames"] == 100
    unlabelled = walk(2, is_labeled=False)
    with pytest.raises(BadInputError, match="expected videos with labelled people, got none in 2"):
        score(PoseTrackMetric(), unlabelled)


def test_without_heads_the_box_measures():
    frames = walk(4)
    for one in frames:
        for instance in one.metainfo["instances"]:
            del instance["head_box"]
    with pytest.raises(BadInputError, match=r"video 1, frame 0: expected bbox_head .* norm='box'"):
        score(PoseTrackMetric(), frames)
    assert score(PoseTrackMetric(norm="box"), frames)["posetrack/MOTA"] == 100


def test_who_has_no_labelled_point_needs_no_head():
    frames = walk(4)
    for one in frames:
        nobody = dict(one.metainfo["instances"][0], track_id=5, keypoints=np.zeros((3, 3)))
        del nobody["head_box"]
        one.metainfo["instances"].append(nobody)
    assert score(PoseTrackMetric(), frames)["posetrack/MOTA"] == 100


def bad(**changes: Any):
    one = walk(1)[0]
    for key, value in changes.items():
        if key == "track_id":
            one.metainfo["instances"][0][key] = value
        elif key == "drop":
            del one.pred_track_instances.keypoints
        else:
            one.pred_track_instances[key] = value
    return one


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (dict(track_id=1), "each of the file's identities once in a frame, got 1 twice"),
        (dict(track_id=-1), "expected track_id of each person with keypoints, got one without"),
        (dict(drop=True), "expected pred_track_instances with keypoints, got none"),
    ],
)
def test_a_frame_that_cannot_be_scored_is_refused_in_a_sentence(sample, message):
    with pytest.raises(BadInputError, match=message):
        PoseTrackMetric().process({}, [clip([bad(**sample)])])


def test_other_bad_input_is_refused_in_a_sentence():
    twice = frame([(0, person(0))], [(5, person(0)), (5, person(90))])
    with pytest.raises(BadInputError, match="the tracker's identities once in a frame, got 5"):
        PoseTrackMetric().process({}, [clip([twice])])
    other = frame([(0, person(0))], [(5, person(0, num_points=4))], num_points=4)
    with pytest.raises(BadInputError, match="expected 3 keypoints of each person, got 4"):
        PoseTrackMetric().process({}, [clip([other])])
    with pytest.raises(BadInputError, match="expected videos with labelled people, got none in 1"):
        score(PoseTrackMetric(), [frame([], [])])
    with pytest.raises(BadInputError, match="norm: expected 'head' or 'box', got 'hip'"):
        PoseTrackMetric(norm="hip")
