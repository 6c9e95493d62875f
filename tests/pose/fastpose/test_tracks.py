"""Tracks through occlusions: scripted scenes, every gate, every corner."""

import numpy as np
import pytest

from mmext.errors import BadInputError
from mmext.pose.fastpose.tracks import GATES, OcclusionAwareTracks
from tests.pose.fastpose.scenes import Frame, scene, switches

IOU = dict(with_looks=False, gates=(), motion="none")
LOOKS = np.eye(4)


@pytest.fixture(scope="module")
def scenes() -> dict[str, list[list[Frame]]]:
    return {kind: [scene(seed, kind) for seed in range(50)] for kind in ("bounce", "cross")}


@pytest.mark.parametrize("kind", ["bounce", "cross"])
def test_an_occlusion_does_not_swap_two_people(scenes, kind):
    assert switches(scenes[kind]) <= 0.10


def test_what_the_scenes_ask_for_defeats_simpler_trackers(scenes):
    assert switches(scenes["cross"], recent_frames=30, **IOU) >= 1.5
    assert switches(scenes["bounce"], gates=()) >= 0.25
    assert switches(scenes["bounce"], memory=1, **IOU) >= 0.5
    assert switches(scenes["cross"], passes=False) >= 1  # one joint assignment


def test_scenes_tracked_at_once_are_tracked_as_alone(scenes):
    few = scenes["bounce"][:3]
    for options in (dict(gates=()), dict(passes=False)):
        alone = np.mean([switches([one], **options) for one in few])
        assert switches(few, **options) == alone


def box(left: float, top: float = 0.0) -> list[float]:
    return [left, top, left + 20, top + 40]


def follow(tracks: OcclusionAwareTracks, place: float = 0.0, frame: int = 0, look: int = 0) -> int:
    """The id of one person, seen clearly."""
    return int(
        tracks.step([box(place)], [0.9], embeddings=LOOKS[look : look + 1], frame_id=frame)[0]
    )


def test_a_low_score_continues_a_track_but_starts_none_and_writes_nothing():
    tracks = OcclusionAwareTracks()
    assert tracks.step([box(0)], [0.15], embeddings=LOOKS[1:2]).tolist() == [-1]
    assert follow(tracks, frame=1) == 0
    before = tracks.tracks.gallery.copy()
    assert tracks.step([box(0)], [0.15], embeddings=LOOKS[1:2], frame_id=2).tolist() == [0]
    np.testing.assert_array_equal(tracks.tracks.gallery, before)
    assert tracks.step([box(0)], [0.05], embeddings=LOOKS[1:2], frame_id=3).tolist() == [-1]


def hidden(tracks: OcclusionAwareTracks, share: float, frame: int, look: int = 0, left: float = 0):
    """Somebody of whom a share of four points is seen."""
    visibility = (np.arange(4) < round(4 * share))[None].astype(float)
    looks = LOOKS[look : look + 1]
    found = tracks.step([box(left)], [0.9], None, visibility, looks, frame_id=frame)
    return int(found[0])


def test_someone_hidden_does_not_write_the_gallery_unless_its_gate_is_open():
    for gates, kept in ((GATES, 1.0), ({"reading", "birth", "re-find"}, np.sqrt(0.5))):
        tracks = OcclusionAwareTracks(gates=gates)
        follow(tracks)
        assert hidden(tracks, 0.5, 1, look=1) == 0
        assert tracks.tracks.gallery[0] @ LOOKS[0] == pytest.approx(kept)


def test_someone_hidden_starts_no_track_while_somebody_is_lost_whom_it_may_be():
    tracks = OcclusionAwareTracks(memory=20)
    follow(tracks)
    seen = [hidden(tracks, 0.5, frame, left=300) for frame in range(5, 21)]
    assert set(seen) == {-1}
    # the lost one is forgotten now; the half seen one has been there for long
    assert hidden(tracks, 0.5, 21, left=300) == 1


def test_someone_never_seen_clearly_becomes_a_track_in_the_end():
    tracks = OcclusionAwareTracks()
    assert [hidden(tracks, 0.5, frame) for frame in range(6)] == [-1] * 4 + [0, 0]
    assert hidden(OcclusionAwareTracks(gates=set(GATES) - {"birth"}), 0.5, 0) == 0


def test_only_someone_seen_clearly_finds_a_lost_track_again():
    gated, ungated = OcclusionAwareTracks(), OcclusionAwareTracks(gates={"birth"})
    for tracks in (gated, ungated):
        follow(tracks)
    assert hidden(gated, 0.5, 9, left=300) == -1
    assert hidden(ungated, 0.5, 9, left=300) == 0
    assert follow(gated, 300, 10) == 0  # the same person, seen clearly
    assert follow(gated, 300, 20, look=1) == 1  # another


def test_ids_are_never_used_again_and_the_memory_ends():
    tracks = OcclusionAwareTracks(memory=30)
    assert follow(tracks) == 0
    assert follow(tracks, frame=30) == 0
    assert follow(tracks, frame=61) == 1
    tracks.reset()
    assert follow(tracks) == 0


def test_the_distance_of_frames_counts_and_not_their_number():
    tracks = OcclusionAwareTracks(memory=50)
    for frame, place in ((0, 0), (2, 10), (4, 20)):
        assert tracks.step([box(place)], [0.9], frame_id=frame).tolist() == [0]
    np.testing.assert_allclose(tracks.tracks.velocity, [[5, 0]])
    # 25 pixels on: apart from where it was, but where it is going
    assert tracks.step([box(45)], [0.9], frame_id=6).tolist() == [1]
    fast = OcclusionAwareTracks(recent_frames=5)
    for frame, place in ((0, 0), (2, 10), (4, 20)):
        fast.step([box(place)], [0.9], frame_id=frame)
    assert fast.step([box(45)], [0.9], frame_id=9).tolist() == [0]


def test_classes_keep_apart():
    tracks = OcclusionAwareTracks()
    boxes = [box(0), box(0)]
    assert tracks.step(boxes, [0.9, 0.9], labels=[0, 1]).tolist() == [0, 1]
    assert tracks.step(boxes, [0.9, 0.9], labels=[1, 0]).tolist() == [1, 0]


def test_a_known_motion_of_the_camera_is_followed():
    camera = np.array([[1.0, 0, 200], [0, 1, 0], [0, 0, 1]])
    tracks, lost = OcclusionAwareTracks(), OcclusionAwareTracks()
    for one in (tracks, lost):
        one.step([box(0)], [0.9], [[[1.0, 2]] * 4])
    args = ([box(200)], [0.9], [[[201.0, 2]] * 4])
    assert tracks.step(*args, camera=camera).tolist() == [0]
    assert lost.step(*args).tolist() == [1]


def test_after_a_cut_places_mean_nothing():
    for find_cuts, ids in ((True, [1, 2]), (False, [0, 1])):
        tracks = OcclusionAwareTracks(find_cuts=find_cuts, recent_score=0.01)
        tracks.step([box(0), box(100)], [0.9, 0.9], embeddings=LOOKS[:2])
        if find_cuts:
            ids = [2, 3]
        # one box happens to touch another's place
        found = tracks.step([box(17), box(400)], [0.9, 0.9], embeddings=LOOKS[2:])
        assert found.tolist() == ids if find_cuts else found.tolist() == [0, 2]


@pytest.mark.parametrize("seed", range(3))
def test_order_of_detections_and_start_of_time_change_nothing(seed):
    rng = np.random.default_rng(seed)
    plain, shuffled, later = (OcclusionAwareTracks() for _ in range(3))
    names: dict[int, int] = {}
    for frame, one in enumerate(scene(seed, "cross")):
        given = (one.boxes, np.ones(len(one.boxes)), one.keypoints, one.visibility, one.embeddings)
        ids = plain.step(*given, frame_id=frame)
        np.testing.assert_array_equal(ids, later.step(*given, frame_id=1000 + frame))
        order = rng.permutation(len(ids))
        other = shuffled.step(*(part[order] for part in given), frame_id=frame)
        for mine, theirs in zip(ids[order].tolist(), other.tolist(), strict=True):
            assert (mine < 0) == (theirs < 0)
            assert mine < 0 or names.setdefault(mine, theirs) == theirs


def test_an_empty_frame_ages_the_tracks_and_an_empty_video_has_none():
    tracks = OcclusionAwareTracks(memory=3)
    assert tracks.step([], []).tolist() == []
    assert follow(tracks, frame=1) == 0
    for frame in (2, 3, 4):
        assert tracks.step(np.zeros((0, 4)), [], frame_id=frame).shape == (0,)
    assert follow(tracks, frame=5) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(boxes=[[0, 0, 1]]), "boxes: expected the shape"),
        (dict(boxes=[[0, 0, 1, np.nan]]), "boxes: expected numbers"),
        (dict(scores=[0.5, 0.5]), "scores: expected the shape"),
        (dict(keypoints=np.zeros((1, 5, 3))), "keypoints: expected the shape"),
        (dict(keypoints=np.zeros((1, 5, 2)), visibility=np.ones((1, 4))), "visibility: expected"),
        (dict(embeddings=np.ones(4)), "embeddings: expected the shape"),
        (dict(frame_id=3), "frame 3: expected one after frame 3"),
        (dict(keypoints=np.zeros((1, 5, 2))), "expected 0 keypoints as in the frames before"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(wrong, message):
    tracks = OcclusionAwareTracks()
    tracks.step([box(0)], [0.9], frame_id=3)
    with pytest.raises(BadInputError, match=message):
        tracks.step(**dict(boxes=[box(0)], scores=[0.9], frame_id=4) | wrong)


@pytest.mark.parametrize(
    ("options", "name"),
    [(dict(sigmas=[0.05] * 15), "sigmas"), (dict(point_weights=[1.0] * 15), "point_weights")],
)
def test_options_for_another_number_of_points_are_refused(options, name):
    tracks = OcclusionAwareTracks(**options)
    assert tracks.step([box(0)], [0.9]).tolist() == [0]  # without points they mean nothing
    tracks = OcclusionAwareTracks(**options)
    sentence = f"{name}: expected one for each of the detector's 17 keypoints, got 15; set num_key"
    with pytest.raises(BadInputError, match=sentence):
        tracks.step([box(0)], [0.9], np.zeros((1, 17, 2)))


def test_options_are_checked():
    with pytest.raises(BadInputError, match=r"gates: expected .* got 'refind' \(did you mean"):
        OcclusionAwareTracks(gates=("refind",))
    with pytest.raises(BadInputError, match="motion: expected cv or none, got 'kalman'"):
        OcclusionAwareTracks(motion="kalman")
