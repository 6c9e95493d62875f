"""Dumped detections in, tracks out: files, shapes, numbers below 1,000."""

import json
from itertools import pairwise

import numpy as np
import pytest

from mmext.errors import BadInputError
from mmext.pose.fastpose import dumped
from mmext.pose.fastpose.tracks import OcclusionAwareTracks


def images(numbers, video="a", start=0):
    return [dict(id=start + n, video_id=video, frame_id=n, file_name=f"{n}.png") for n in numbers]


def detection(image, left=0.0, **more):
    return dict(image_id=image, category_id=1, bbox=[left, 0, 20, 40], score=0.9) | more


def read(folder, detections, listed):
    (folder / "found.json").write_text(json.dumps(detections))
    (folder / "images.json").write_text(json.dumps(dict(images=listed)))
    return dumped.read_detections(folder / "found.json", folder / "images.json")


def ids(videos) -> list[list[int]]:
    followed = dumped.follow(dumped.frames_of(videos, "found.json"), OcclusionAwareTracks())
    return [found.tolist() for _, found in followed]


def test_frames_are_taken_in_order_and_videos_begin_anew(tmp_path):
    listed = images([2, 0, 1]) + images([0, 1], "b", 10)
    found = [detection(one["id"], 3.0 * one["frame_id"]) for one in listed]
    videos, _, odd = read(tmp_path, found, listed)
    assert ids(videos) == [[0]] * 5
    assert len(odd) == 1
    assert "expected frames in the order of frame_id, got others in 1 videos" in odd[0]


def test_missing_frames_count_as_time_and_are_told(tmp_path):
    listed = images([0, 1, 2, 40])
    videos, _, odd = read(tmp_path, [detection(one["id"]) for one in listed], listed)
    assert ids(videos) == [[0], [0], [0], [1]]
    assert "expected frames at equal distances, got gaps in 1 videos" in odd[0]


def test_a_file_may_hold_its_own_images_and_another_tracker_s_numbers(tmp_path):
    listed = images([0, 1])
    own = [detection(0, track_id=5), detection(0, 50.0, track_id=5), detection(1, track_id=9)]
    (tmp_path / "all.json").write_text(json.dumps(dict(images=listed, annotations=own)))
    videos, _, _ = dumped.read_detections(tmp_path / "all.json", None)
    assert ids(videos) == [[0, 1], [0]]


def test_points_and_looks_reach_the_tracker():
    points = [1.0, 2.0, 0.9, 3.0, 4.0, 0.1]
    one = detection(0, keypoints=points, embedding=[0.0, 2.0])
    found, sizes = dumped.arrays_of([one], None, "file")
    assert sizes == (6, 2)
    np.testing.assert_array_equal(found["boxes"], [[0, 0, 20, 40]])
    np.testing.assert_array_equal(found["keypoints"], [[[1, 2], [3, 4]]])
    np.testing.assert_array_equal(found["visibility"], [[0.9, 0.1]])
    np.testing.assert_array_equal(found["embeddings"], [[0, 2]])
    empty, _ = dumped.arrays_of([], sizes, "file")
    assert OcclusionAwareTracks().step(**empty).shape == (0,)


@pytest.mark.parametrize(
    ("detections", "listed", "message"),
    [
        ([dict(image_id=0, bbox=[0, 0, 1, 1])], images([0]), "with score and bbox .* got no score"),
        ([detection(7)], images([0]), "got image_id 7 of none of them"),
        ([], [dict(id=0, frame_id=0)], "image 0: expected vid_id or video_id, got none"),
        ([], images([0]) + images([0], start=5), "expected each frame once, got frame 0 twice"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_a_sentence(tmp_path, detections, listed, message):
    with pytest.raises(BadInputError, match=message):
        read(tmp_path, detections, listed)


def test_no_json_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(BadInputError, match=r"a.json: expected JSON, got something else"):
        dumped.read_detections(tmp_path / "a.json", None)
    with pytest.raises(BadInputError, match=r"b.json: expected a JSON file, got none"):
        dumped.read_detections(tmp_path / "b.json", None)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(BadInputError, match="expected images with video_id and frame_id, got none"):
        dumped.read_detections(tmp_path / "a.json", None)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([dict(keypoints=[1, 2, 0.5]), dict(keypoints=[1, 2, 0.5] * 2)], "expected 3 numbers in k"),
        ([dict(keypoints=[1, 2, 0.5]), {}], "expected 3 numbers in keypoints .* got 0"),
        ([dict(keypoints=[1, 2])], "expected 0 numbers in keypoints .* got 2"),
        ([dict(embedding=[1, 2]), dict(embedding=[1])], "expected 2 numbers in embedding"),
        ([dict(keypoints=[1, 2, 7.5])], "from 0 to 1, or 0, 1 and 2 as COCO has them, got 7.5"),
    ],
)
def test_detections_that_differ_are_refused_in_a_sentence(found, message):
    with pytest.raises(BadInputError, match=message):
        dumped.arrays_of([detection(0, **one) for one in found], None, "file")


def test_numbers_stay_as_they_are_while_they_fit():
    assert dumped.small_ids([[3, 999], []]) == [[3, 999], []]


def test_more_than_999_identities_get_new_numbers_each_of_one_person_at_a_time():
    frames = [[n, n + 1] for n in range(1500)]
    told = dumped.small_ids(frames)
    assert max(one for frame in told for one in frame) == 999
    for (_, one), (other, _) in pairwise(told):
        assert one == other  # who is there in two frames keeps the number
    assert all(len(set(frame)) == 2 for frame in told)
    with pytest.raises(BadInputError, match="expected at most 2 people in a frame, got 3"):
        dumped.small_ids([[0, 1, 2]], most=2)


def test_what_is_written_is_what_was_tracked():
    found, _ = dumped.arrays_of(
        [detection(4, keypoints=[1.0, 2, 0.5]), detection(4, 50.0, keypoints=[3.0, 4, 0.25])],
        None,
        "file",
    )
    frame = dumped.Seen("a", 0, dict(id=4), found)
    (one,) = dumped.annotations_of(frame, np.array([-1, 1200]))
    assert (one["track_id"], one["image_id"], one["bbox"]) == (1200, 4, [50, 0, 20, 40])
    assert one["keypoints"] == [3, 4, 0.25]
    (line,) = dumped.mot_lines([(6, [one])])
    assert line == "7,1201,50.00,0.00,20.00,40.00,0.9000,-1,-1,-1"
