"""Files of PoseTrack and mmdet: frames in order, and what no tracker can be judged on."""

import pytest

from mmext.errors import BadInputError
from mmext.pose.fastpose import video_files
from tests.pose.fastpose.files import posetrack, written


def videos(data):
    return video_files.videos_of({"file": "f.json", **data})


def numbers(video):
    return [frame["frame_id"] for frame in video.frames]


def test_frames_come_in_the_order_of_time_with_their_annotations():
    data = posetrack((4, 0, 8))
    (video,) = videos(data)
    assert numbers(video) == [0, 4, 8]
    for frame, found in zip(video.frames, video.annotations, strict=True):
        assert [one["image_id"] for one in found] == [frame["id"]] * 2
    (sentence,) = video_files.oddities({"file": "f.json", **data}, [video])
    assert sentence == (
        "f.json: expected frames in the order of frame_id, got others in 1 videos, the first "
        "000342; they are taken in the order of frame_id"
    )


def test_a_gap_is_told_and_kept():
    data = {"file": "f.json", **posetrack((0, 4, 16, 20))}
    found = videos(data)
    (sentence,) = video_files.oddities(data, found)
    assert "gaps in 1 videos, the first in 000342 between frames 4 and 16" in sentence
    assert numbers(found[0]) == [0, 4, 16, 20]


def test_usual_files_get_no_sentence():
    for numbers_ in ((0,), (0, 4, 8), ()):
        data = {"file": "f.json", **posetrack(numbers_)}
        assert not list(video_files.oddities(data, videos(data)))


def test_names_of_mmdet_do_as_well():
    data = posetrack()
    for image in data["images"]:
        image["video_id"] = image.pop("vid_id")
    for one in data["annotations"]:
        one["instance_id"] = one.pop("track_id")
    assert numbers(videos(data)[0]) == [0, 1, 2]
    data["annotations"][0]["instance_id"] = data["annotations"][1]["instance_id"] = 0
    with pytest.raises(BadInputError, match="got 0 twice in frame 0"):
        videos(data)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d["images"][1].update(frame_id=0), r"frame 0 twice \(images 1 and 2\); remove"),
        (lambda d: d["annotations"][1].update(track_id=0), "got 0 twice in frame 0"),
        (lambda d: d["images"][2].pop("vid_id"), "image 3: expected vid_id or video_id, got none"),
        (lambda d: d["images"][2].pop("frame_id"), "image 3: expected frame_id, got none"),
    ],
)
def test_what_cannot_be_meant_gets_a_sentence(change, sentence):
    data = posetrack()
    change(data)
    with pytest.raises(BadInputError, match=sentence):
        videos(data)


def test_unknown_identities_and_crowds_may_repeat():
    data = posetrack(people=(0, 1, 2))
    for one in data["annotations"][:2]:
        one["track_id"] = -1
    data["annotations"][2] |= dict(iscrowd=1)
    data["annotations"][3] |= dict(iscrowd=1, track_id=2)
    assert len(videos(data)) == 1


def test_a_folder_is_read_file_by_file(tmp_path):
    written(tmp_path, posetrack(video="b"), "b.json")
    written(tmp_path, posetrack(video="a", first_id=9), "a.json")
    found = video_files.read(tmp_path)
    assert [one["images"][0]["vid_id"] for one in found] == ["a", "b"]
    assert found[0]["file"].endswith("a.json")
    other = posetrack(video="c")
    other["categories"][0]["keypoints"] = ["nose"]
    written(tmp_path, other, "c.json")
    with pytest.raises(BadInputError, match=r"c.json: expected the categories of .*a.json, got"):
        video_files.read(tmp_path)


def test_files_that_are_not_there_or_of_another_kind(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(BadInputError, match=r"expected a file of annotations or a folder"):
            video_files.read(path)
    (tmp_path / "cut.json").write_text("{")
    with pytest.raises(
        BadInputError, match=r"cut.json: expected JSON, got something else .* write"
    ):
        video_files.read(tmp_path / "cut.json")
    with pytest.raises(BadInputError, match="got no images, annotations, categories; convert"):
        video_files.read(written(tmp_path, dict(annolist=[])))


def test_regions_to_ignore():
    one = dict(ignore_regions_x=[[0, 5, 5], [1, 2, 3]], ignore_regions_y=[[0, 0, 5], [1, 1, 4]])
    assert video_files.regions(one) == [[(0, 0), (5, 0), (5, 5)], [(1, 1), (2, 1), (3, 4)]]
    single = dict(ignore_regions_x=[0, 5, 5], ignore_regions_y=[0, 0, 5])
    assert video_files.regions(single) == [[(0, 0), (5, 0), (5, 5)]]
    assert video_files.regions({}) == video_files.regions(dict(ignore_regions_x=[])) == []
