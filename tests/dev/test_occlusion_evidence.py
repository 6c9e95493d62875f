"""Tracking through occlusions: scenes are what they say, counts are counted, chunks are kept."""

import json

import numpy as np
import pytest
from PIL import Image

from dev.evidence.occlusion import report, scenes, study, trackers
from dev.evidence.occlusion.scenes import Frame
from dev.evidence.results import RESULTS
from mmext.prepare.stamps_pictures import CLASSES, Pictures, Stamp
from tests.checkout import REPO


def blob(name, colour, width, height):
    pixels = np.zeros((height, width, 4), np.uint8)
    y, x = np.mgrid[:height, :width]
    pixels[..., :3] = colour
    pixels[..., 3] = 255 * ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2 < 0.25)
    return Stamp(name, 0, pixels)


@pytest.fixture(scope="module")
def pictures():
    """Two round things in each class, and a grey photograph."""
    pair = [blob("red", (255, 0, 0), 60, 60), blob("blue", (0, 0, 255), 60, 54)]
    return Pictures([pair] * len(CLASSES), {"grey": Image.new("RGB", (300, 300), (90, 90, 90))})


class Colours:
    """Mean colour of a crop in place of a net."""

    centre = np.zeros(3)

    def of(self, frames):
        return [one.crops().mean((1, 2)) - 128.0 for one in frames]


def middles(frames, person):
    return [
        (one.boxes[one.people == person][0, 0::2].mean()) for one in frames if person in one.people
    ]


@pytest.mark.parametrize(("number", "kind"), [(0, "cross"), (1, "turn"), (2, "cross"), (3, "turn")])
def test_objects_cross_or_turn_while_one_is_hidden(pictures, number, kind):
    frames = list(scenes.scene(pictures, 100, number))
    assert len(frames) == scenes.FRAMES
    assert all(0 in one.people for one in frames)  # nobody hides the one in front
    front, rear = (middles(frames, person) for person in (0, 1))
    stayed = (front[0] < rear[0]) == (front[-1] < rear[-1])
    assert stayed == (kind == "turn")
    told = np.concatenate([one.visible[one.people == 0] for one in frames])
    assert 0.85 < told.mean() < 1  # one in twenty is told wrong


def test_what_is_covered_is_what_pasting_covers(pictures):
    rng = np.random.default_rng(0)
    front, rear = (scenes.thing(one, rng) for one in pictures.stamps[0])
    for offset in rng.integers(-70, 70, (50, 2)):
        canvas = np.zeros((2, 300, 300), bool)
        for place, (one, corner) in enumerate(((front, (100, 100)), (rear, 100 + offset))):
            x, y = corner
            canvas[place, y : y + one.size[1], x : x + one.size[0]] = one.mask
        hidden = (canvas[0] & canvas[1]).sum() / canvas[1].sum()
        assert scenes.hidden_share(front, rear, offset) == pytest.approx(hidden)


def test_where_they_meet_one_is_hidden_by_three_fifths(pictures):
    for number in range(6):
        things, way = scenes.cast(pictures, "turn", np.random.default_rng(number))[:2]
        most = max(scenes.hidden_share(*things, both[1] - both[0]) for both in way)
        assert most >= scenes.HIDDEN


def frame(people, visible=1.0):
    count = len(people)
    return Frame(
        np.zeros((2, 2, 3), np.uint8),
        np.zeros((count, 4)),
        np.zeros((count, scenes.K, 2)),
        np.full((count, scenes.K), visible),
        np.array(people),
    )


def test_a_swap_is_two_switches_and_costs_half_of_idf1():
    frames = [frame([0, 1]), frame([1, 0]), frame([0, 1], visible=0.0), frame([0, 1])]
    told = [np.array(one) for one in ([5, 7], [7, 5], [7, 5], [7, -1])]
    counted = dict(zip(trackers.COUNTED, trackers.counts(frames, told), strict=True))
    # object 0: 5 5 7 7, object 1: 7 7 5 and nothing
    assert counted == dict(switches=2, clear=1, unnamed=1, idtp=4, true=8, found=7)


def test_the_reduction_is_of_sums_and_paired_by_scene():
    control = np.zeros((40, 6), int)
    control[:, 0], control[:, 3:] = 2, 10
    half = control.copy()
    half[:, 0] = 1
    for one in (study.reduction(half, control)["switches"], study.reduction(control, control)):
        found = one.get("switches", one)
        assert found["mean"] == found["low"] == found["high"]  # the same in every scene
    assert study.reduction(half, control)["switches"]["mean"] == -50
    half[:20, 0] = 0
    found = study.reduction(half, control)["switches"]
    assert found["mean"] == -75
    assert found["low"] < -75 < found["high"]


def test_a_run_takes_over_the_chunks_of_the_same_statement(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "CHUNK", 2)
    monkeypatch.setattr(study.provenance, "code_hash", lambda modules: "".join(modules))
    first = list(study.chunks(tmp_path, Colours(), pictures, 3))
    counted = study.joined(first)
    assert set(counted) == set(trackers.ARMS)
    assert all(one.shape == (3, len(trackers.COUNTED)) for one in counted.values())
    detections = {name: one[:, 4].tolist() for name, one in counted.items()}
    assert len({tuple(one) for one in detections.values()}) == 1  # all see the same

    def fail(*args):
        raise AssertionError

    monkeypatch.setattr(study, "play", fail)
    again = list(study.chunks(tmp_path, Colours(), pictures, 3))
    assert [one["found"] for one in again] == [one["found"] for one in first]
    monkeypatch.setattr(study, "RESAMPLES", 5)
    with pytest.raises(AssertionError):
        list(study.chunks(tmp_path, Colours(), pictures, 3))
    found = dict(statement=study.statement(), **study.summarise(counted))
    assert report.known(found).count("\n| ") == 1 + len(trackers.ARMS)
    report.draw(found, tmp_path / "bars.png")
    frames = list(scenes.scene(pictures, 100, 0))
    told = [np.arange(len(one.people)) for one in frames]
    report.two_strips(frames, [told, told], tmp_path / "strip.jpg")
    with Image.open(tmp_path / "strip.jpg") as strip:
        assert strip.size == (6 * scenes.SIDE, 2 * 80 + 4)


def test_arms_differ_in_gates_alone():
    without, ours = trackers.ARMS[trackers.WITHOUT], trackers.ARMS[trackers.OURS]
    assert without == dict(ours, gates=())
    assert trackers.ARMS[trackers.JOINT] == dict(ours, passes=False)
    assert study.SEED != study.DEVELOPMENT


def test_features_are_centred_and_contain_who_stands_in_front(pictures):
    from dev.evidence.occlusion.features import Appearance

    net = Appearance(weights=None)
    frames = list(scenes.scene(pictures, 100, 0))[::8]
    features = np.concatenate(net.of(frames))
    assert features.shape == (sum(len(one.people) for one in frames), 1280)
    net.centre = features.mean(0)
    np.testing.assert_allclose(np.concatenate(net.of(frames)).mean(0), 0, atol=1e-6)


def test_what_is_published_is_what_is_stated():
    file = REPO / RESULTS / "occlusion.json"
    assert "not run yet" in report.known(None)
    if file.exists():
        found = json.loads(file.read_text())
        assert found["statement"] == json.loads(json.dumps(study.statement()))
        scenes_of = [len(one["per_scene"].split()) for one in found["arms"].values()]
        assert set(scenes_of) == {study.SCENES}
        for one in found["arms"].values():
            assert sum(map(int, one["per_scene"].split())) == one["switches"]
        assert trackers.OURS in report.known(found)
