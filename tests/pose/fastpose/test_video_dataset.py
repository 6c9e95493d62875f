"""Videos with keypoints and identities, through mmdet's own samplers and preprocessor."""

import numpy as np
import pytest
import torch
from mmdet.models import TrackDataPreprocessor
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import DataLoader

from mmext.errors import BadInputError
from mmext.pose.fastpose import video_dataset
from mmext.pose.fastpose.layouts import KNOWN
from mmext.pose.fastpose.video_dataset import PoseVideoDataset
from tests.pose.fastpose import files
from tests.pose.fastpose.files import SIZE, points, posetrack, written

FRAME = [
    dict(type="LoadImageFromFile"),
    dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
    dict(type="mmext.PoseResize", scale_factor=2.0),
    dict(type="mmext.PoseFlip", prob=0.5),
]
WHOLE = [
    dict(type="TransformBroadcaster", share_random_params=True, transforms=FRAME),
    dict(type="mmext.PackPoseTrackInputs"),
]


def dataset(folder, data, **more):
    return PoseVideoDataset(ann_file=written(folder, data), **more)


def built(folder, data, pipeline, **more):
    prefix = dict(img_path=files.pictures(folder / "pictures", data))
    cfg = dict(type="mmext.PoseVideoDataset", ann_file=written(folder, data), pipeline=pipeline)
    return DATASETS.build(cfg | dict(data_prefix=prefix, _scope_="mmdet") | more)


def test_identity_0_is_an_identity_and_each_video_has_its_own(tmp_path, monkeypatch):
    """mmdet's own data set puts a person's place in the list where the file says 0."""
    said = []
    monkeypatch.setattr(video_dataset, "print_log", lambda text, *_: said.append(text))
    first, second = posetrack((0, 1)), posetrack((0, 1), video="b", first_id=50, people=(1, 0))
    for key in ("images", "annotations"):
        first[key] += second[key]
    own = dataset(tmp_path, first)
    ids = [
        [(one["track_id"], one["instance_id"]) for one in frame["instances"]]
        for video in (own[0], own[1])
        for frame in video["images"]
    ]
    assert ids == [[(0, 0), (1, 1)]] * 2 + [[(1, 2), (0, 3)]] * 2
    assert own.num_identities == own.metainfo["num_identities"] == 4
    assert said == [f"{own.ann_file}: 4 identities in 2 videos"]
    first["annotations"][0]["track_id"] = -1
    del first["annotations"][1]["track_id"]
    frame = dataset(tmp_path, first)[0]["images"][0]
    assert [one["instance_id"] for one in frame["instances"]] == [-1, -1]


def test_a_frame_as_posetrack_has_it(tmp_path):
    region = dict(ignore_regions_x=[[1, 9, 9]], ignore_regions_y=[[2, 2, 8]])
    own = dataset(tmp_path, posetrack((8, 12), **region), visible_from=1, test_mode=True)
    (video,) = [own.get_data_info(one) for one in range(len(own))]
    assert (video["video_id"], video["video_length"]) == ("000342", 2)
    frames = video["images"]
    assert [(one["frame_id"], one["frame_number"]) for one in frames] == [(0, 8), (1, 12)]
    person, _, ignored = frames[0]["instances"]
    stated = np.reshape(points(visible=2), (17, 3))
    np.testing.assert_array_equal(person["keypoints"], stated)
    assert person["head_box"] == [4, 4, 10, 12]
    assert (ignored["bbox"], ignored["ignore_flag"]) == ([1, 2, 9, 8], 1)
    assert (ignored["instance_id"], "keypoints" in ignored) == (-1, False)
    assert frames[0]["ignore_regions"] == [[(1, 2), (9, 2), (9, 8)]]
    assert frames[0]["flip_pairs"] == KNOWN["posetrack17"].flip_pairs
    assert "width" not in frames[0], "the file does not say it"


@pytest.mark.parametrize(
    ("visible_from", "point", "expected"),
    [
        (2, (5, 6, 2), 2),
        (2, (5, 6, 1), 1),
        (2, (5, 6, 0), 0),
        (1, (5, 6, 1), 2),
        (1, (5, 6, 0), 1),
        (1, (0, 6, 0), 1),
        (1, (0, 0, 0), 0),
        (1, (0, 0, 1), 2),
    ],
)
def test_what_v_means_in_coco_and_in_posetrack(tmp_path, visible_from, point, expected):
    data = posetrack((0,), people=(0,))
    data["annotations"][0]["keypoints"][:3] = point
    own = dataset(tmp_path, data, visible_from=visible_from)
    found = own[0]["images"][0]["instances"][0]["keypoints"][0]
    assert found.tolist() == [*(point[:2] if expected else (0, 0)), expected]


def test_a_person_of_posetrack21_is_one_in_all_videos(tmp_path):
    data = posetrack((0,))
    other = posetrack((0,), video="b", first_id=50)
    for key in ("images", "annotations"):
        data[key] += other[key]
    for one, person in zip(data["annotations"], (7, 0, 0, 9), strict=True):
        one["person_id"] = person
    own = dataset(tmp_path, data)
    ids = [[x["instance_id"] for x in own[video]["images"][0]["instances"]] for video in (0, 1)]
    assert (ids, own.num_identities) == ([[0, 1], [1, 2]], 3)


def test_a_box_is_put_around_points_where_there_is_none(tmp_path):
    data = posetrack((0,), people=(0, 1, 2))
    for one in data["annotations"][:2]:
        del one["bbox"]
    data["annotations"][1]["keypoints"] = [0] * 51
    own = dataset(tmp_path, data)[0]["images"][0]["instances"]
    assert [one["track_id"] for one in own] == [0, 2], "without box and points there is no place"
    labelled = np.reshape(points(), (17, 3))[:, :2]
    low, high = labelled.min(0), labelled.max(0)
    np.testing.assert_allclose(
        own[0]["bbox"], [*(low - 0.1 * (high - low)), *(high + 0.1 * (high - low))], rtol=1e-5
    )


def test_training_leaves_out_frames_that_nobody_labelled(tmp_path):
    data = posetrack((0, 1, 2, 3))
    data["images"][1]["is_labeled"] = False
    data["annotations"] = [one for one in data["annotations"] if one["image_id"] != 3]
    data["images"][1]["has_labeled_person"] = False
    keep = dict(filter_cfg=dict(filter_empty_gt=False))
    for more, expected in (({}, [0, 3]), (keep, [0, 2, 3]), (dict(test_mode=True), [0, 1, 2, 3])):
        own = dataset(tmp_path, data, **more)
        video = own.get_data_info(0)
        assert [one["frame_number"] for one in video["images"]] == expected
        assert video["video_length"] == own.get_len_per_video(0) == len(expected)
    data["images"][1]["has_labeled_person"] = True  # boxes without points, as in PoseTrack21
    frames = dataset(tmp_path, data).get_data_info(0)["images"]
    assert [one["frame_number"] for one in frames] == [0, 1, 3]


def test_pictures_can_be_videos_of_one_frame(tmp_path):
    """Each object is the only one of its kind, and a clip shows it twice."""
    data = files.coco([files.annotation(one, one) for one in (1, 2)], images=2)
    sample = dict(type="UniformRefFrameSample", num_ref_imgs=1, frame_range=2)
    changed = dict(type="mmext.PoseAffine", max_rotate_degree=20.0)
    apart = dict(type="TransformBroadcaster", transforms=[*FRAME[:2], changed])
    with pytest.raises(BadInputError, match="or single_frames=True for single pictures"):
        built(tmp_path, data, [])
    own = built(tmp_path, data, [sample, apart, WHOLE[1]], single_frames=True)
    assert (len(own), own.num_identities) == (2, 2)
    for place in (0, 1):
        first, second = own[place]["data_samples"]
        assert first.video_id == second.video_id == place + 1
        assert first.gt_instances.instances_ids.tolist() == [place]
        assert second.gt_instances.instances_ids.tolist() == [place]
        assert not torch.equal(first.gt_instances.keypoints, second.gt_instances.keypoints)


def test_a_video_without_people_goes_and_a_split_without_any_gets_a_sentence(tmp_path):
    data = posetrack((0, 1))
    empty = posetrack((0, 1), video="empty", first_id=50, people=())
    data["images"] += empty["images"]
    assert len(dataset(tmp_path, data)) == 1
    assert len(dataset(tmp_path, data, test_mode=True)) == 2
    with pytest.raises(BadInputError, match="expected frames with objects of person, got none am"):
        dataset(tmp_path, empty)


@pytest.mark.parametrize("frames", [2, 3, 4])
def test_clips_of_2_to_4_frames_reach_the_model(tmp_path, frames):
    sample = dict(type="UniformRefFrameSample", num_ref_imgs=frames - 1, frame_range=2)
    own = built(tmp_path, posetrack((0, 1, 2, 3, 4)), [sample, *WHOLE], visible_from=1)
    sampler = DATA_SAMPLERS.build(
        dict(type="mmdet.TrackImgSampler"), default_args=dict(dataset=own, seed=0)
    )
    assert len(sampler) == 5
    loader = DataLoader(own, batch_size=2, sampler=sampler, collate_fn=pseudo_collate)
    batch = TrackDataPreprocessor(mean=[0.0] * 3, std=[1.0] * 3, pad_size_divisor=32)(
        next(iter(loader)), training=True
    )
    assert batch["inputs"].shape == (2, frames, 3, 2 * SIZE[0], 2 * SIZE[1])
    for clip in batch["data_samples"]:
        assert len(clip) == frames
        assert len({frame.flip for frame in clip}) == 1
        numbers = [frame.frame_number for frame in clip]
        assert numbers == sorted(numbers)
        for frame in clip:
            found = frame.gt_instances
            assert found.instances_ids.tolist() == [0, 1]
            assert found.keypoints.shape == (2, 17, 2)
            assert torch.equal(found.keypoints_visible, torch.full((2, 17), 2))


def test_a_test_sees_frame_after_frame(tmp_path):
    own = built(tmp_path, posetrack((0, 4, 8)), WHOLE, test_mode=True)
    sampler = DATA_SAMPLERS.build(
        dict(type="mmdet.TrackImgSampler"), default_args=dict(dataset=own)
    )
    seen = []
    for data in DataLoader(own, sampler=sampler, collate_fn=pseudo_collate):
        (sample,) = TrackDataPreprocessor()(data)["data_samples"]
        (frame,) = sample
        seen.append((frame.frame_id, frame.frame_number, frame.ori_video_length))
        assert [one["track_id"] for one in frame.instances] == [0, 1]
    assert seen == [(0, 0, 3), (1, 4, 3), (2, 8, 3)]


def test_oddities_are_told_once_and_what_cannot_be_meant_stops(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(video_dataset, "print_log", lambda text, *_: told.append(text))
    dataset(tmp_path, posetrack((1, 0, 9)))
    assert ["order of frame_id" in one for one in told] == [True, False, False]
    for name, first in (("a.json", 1), ("b.json", 50)):
        written(tmp_path / "videos", posetrack(first_id=first), name)
    with pytest.raises(BadInputError, match="got video 000342 in two; remove"):
        PoseVideoDataset(ann_file=str(tmp_path / "videos"))
    written(tmp_path / "videos", posetrack(video="b"), "b.json")
    with pytest.raises(BadInputError, match="got image 1 in two; remove"):
        PoseVideoDataset(ann_file=str(tmp_path / "videos"))
    written(tmp_path / "videos", posetrack(video="b", first_id=50), "b.json")
    assert len(PoseVideoDataset(ann_file=str(tmp_path / "videos"))) == 2


def test_other_classes_and_other_counts_get_a_sentence(tmp_path):
    with pytest.raises(BadInputError, match="categories among dog, got person; set metainfo"):
        dataset(tmp_path, posetrack(), metainfo=dict(classes=("dog",)))
    data = posetrack()
    data["annotations"][0]["keypoints"] = points(15)
    with pytest.raises(BadInputError, match="3 numbers for each of 17 keypoints, got 45; write"):
        dataset(tmp_path, data)


def test_posetrack_in_its_15_joints(tmp_path):
    own = dataset(tmp_path, posetrack(), layout="posetrack15")
    found = own[0]["images"][0]["instances"][0]["keypoints"]
    stated = np.reshape(points(visible=1), (17, 3))
    np.testing.assert_array_equal(found, stated[[0, 1, 2, *range(5, 17)]])
