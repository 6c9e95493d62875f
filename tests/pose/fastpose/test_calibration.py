"""How alike an embedding finds people, against a loop over all pairs."""

import numpy as np
import pytest

from mmext.errors import BadInputError
from mmext.pose.fastpose.calibration import Alikeness, alikeness, sightings
from mmext.pose.fastpose.dumped import Seen


def test_means_are_those_over_all_pairs():
    rng = np.random.default_rng(0)
    looks, people = rng.normal(size=(12, 5)), rng.integers(0, 4, 12)
    same, other = [], []
    for i in range(12):
        for j in range(i):
            cosine = looks[i] @ looks[j] / np.linalg.norm(looks[i]) / np.linalg.norm(looks[j])
            (same if people[i] == people[j] else other).append(cosine)
    found = alikeness(looks, people)
    assert found == pytest.approx((np.mean(same), np.mean(other)))
    assert Alikeness(0.84, 0.20).lost_score == pytest.approx(0.36)


def seen(number: int, *looks: float, video: str = "a") -> Seen:
    boxes = np.array([[30.0 * place, 0, 30 * place + 20, 40] for place in range(len(looks))])
    embeddings = np.array([[one, 1.0] for one in looks])
    return Seen(video, number, dict(id=number), dict(boxes=boxes, embeddings=embeddings))


def test_detections_on_labelled_people_are_found():
    label = dict(image_id=3, track_id=0, bbox=[31, 1, 20, 40])
    labels = dict(annotations=[label, {**label, "track_id": 7, "bbox": [500, 0, 9, 9]}])
    looks, people = sightings([seen(2, 9.0), seen(3, 4.0, 5.0)], labels)
    assert looks.tolist() == [[5, 1]]
    assert people.tolist() == [0]


def test_the_same_number_in_another_video_is_another_person():
    labels = dict(annotations=[dict(image_id=n, track_id=0, bbox=[0, 0, 20, 40]) for n in (1, 2)])
    _, people = sightings([seen(1, 1.0), seen(2, 1.0, video="b")], labels)
    assert len(set(people.tolist())) == 2


def test_what_cannot_be_measured_is_told_in_a_sentence():
    with pytest.raises(BadInputError, match="got 2 sightings of 2 people; label more frames"):
        alikeness(np.eye(2), np.array([0, 1]))
    with pytest.raises(BadInputError, match="with an embedding on labelled people, got none"):
        sightings([seen(1, 1.0)], dict(annotations=[]))
    twice = [dict(image_id=1, track_id=3, bbox=[30 * n, 0, 20, 40]) for n in range(2)]
    with pytest.raises(BadInputError, match="got 3 twice in image 1; correct one"):
        sightings([seen(1, 1.0, 2.0)], dict(annotations=twice))
