"""Tables of scores against loops over pairs, and when a scene ends."""

import numpy as np
import pytest

from mmext.pose.fastpose.similarity import iou, oks
from mmext.pose.fastpose.state import detections, new_tracks
from mmext.pose.fastpose.tables import is_cut, tables

LOOKS = np.eye(4)


def found(lefts, looks, *, points=None, labels=None):
    """Persons 20 wide and 40 high, whom all of four points show."""
    boxes = np.array([[left, 0.0, left + 20, 40] for left in lefts])
    return detections(boxes, np.ones(len(boxes)), points, None, LOOKS[looks], labels)


def tracks_of(seen, velocity=(0, 0)):
    """Tracks of frame 0, their looks written down."""
    tracks = new_tracks(seen, 0)
    tracks.remember(np.arange(len(seen)), seen.embeddings, momentum=0.5)
    tracks.velocity[:] = velocity
    return tracks


def test_each_pair_has_its_scores():
    rng = np.random.default_rng(0)
    before, now = (
        found([0, 30, 60], looks, points=rng.uniform(0, 60, (3, 5, 2)), labels=[0, 0, 1])
        for looks in ([0, 1, 2], [1, 0, 3])
    )
    tracks = tracks_of(before, velocity=(3, 1))
    sigmas = [0.3] * 5
    for moving, shift in ((True, np.array([6.0, 2.0])), (False, np.zeros(2))):
        table = tables(tracks, now, 2, moving=moving, sigmas=sigmas)
        for m in range(3):
            box, pose = before.boxes[[m]] + np.tile(shift, 2), before.poses[[m]] + shift
            for n in range(3):
                seen = np.ones((1, 5), bool)
                area = np.full((1, 1), 800.0)
                near = oks(pose, now.poses[[n]], seen, seen, area, sigmas=sigmas)
                expected = max(near, iou(box, now.boxes[[n]]))
                assert table.geo[m, n] == table.score[m, n] == pytest.approx(expected.item())
                assert table.app[m, n] == before.embeddings[m] @ now.embeddings[n]
                assert table.same[m, n] == table.allowed[m, n] == ((m == 2) == (n == 2))


@pytest.mark.parametrize(
    ("lefts", "looks", "cut"),
    [
        ([500, 600], [2, 3], True),
        ([0, 600], [2, 3], False),  # one is where one was
        ([500, 600], [0, 3], False),  # one looks as one did
    ],
)
def test_a_scene_ends_where_neither_places_nor_looks_go_on(lefts, looks, cut):
    table = tables(tracks_of(found([0, 30], [0, 1])), found(lefts, looks), 1, moving=True)
    everyone = np.ones(2, bool)
    assert is_cut(table, everyone, everyone, lost_score=0.3) is cut
    assert not is_cut(table, ~everyone, everyone, lost_score=0.3)
    assert not is_cut(table, everyone, ~everyone, lost_score=0.3)
