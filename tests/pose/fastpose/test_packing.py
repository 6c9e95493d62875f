"""What a model gets of points, identities and scales."""

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes

from mmext.errors import BadInputError
from mmext.pose.fastpose.packing import PackPoseDetInputs, PackPoseTrackInputs

KEYPOINTS = np.array([[[1, 2, 2], [3, 4, 1]], [[0, 0, 0], [5, 6, 2]], [[7, 8, 1], [9, 9, 2]]])


def results(rows=(0, 1, 2), ignored=(1,), size=(8, 12)):
    number = len(rows)
    return dict(
        img=np.zeros((*size, 3), np.uint8),
        img_id=7,
        img_shape=size,
        gt_bboxes=HorizontalBoxes(torch.arange(number)[:, None] + torch.tensor([0.0, 0, 2, 3])),
        gt_bboxes_labels=np.zeros(number, np.int64),
        gt_ignore_flags=np.isin(rows, ignored),
        gt_keypoints=KEYPOINTS[list(rows)].astype(np.float32),
        gt_instances_ids=np.array(rows, np.int64),
        flip_pairs=((0, 1),),
        sigmas=(0.1, 0.2),
        scale_index=1,
        valid_range=(2, None),
        frame_number=40,
        frame_id=3,
        video_id="a",
    )


def check(sample):
    own, ignored = sample.gt_instances, sample.ignored_instances
    for instances, rows in ((own, [0, 2]), (ignored, [1])):
        np.testing.assert_array_equal(instances.keypoints, KEYPOINTS[rows][..., :2])
        np.testing.assert_array_equal(instances.keypoints_visible, KEYPOINTS[rows][..., 2])
        assert instances.instances_ids.tolist() == rows
        assert instances.keypoints.dtype == torch.float32
        assert len(instances.bboxes) == len(instances.labels) == len(rows)
    meta = sample.metainfo
    assert (meta["flip_pairs"], meta["sigmas"]) == (((0, 1),), (0.1, 0.2))
    assert (meta["scale_index"], meta["valid_range"], meta["img_id"]) == (1, (2, None), 7)


def test_a_picture():
    own = results()
    packed = PackPoseDetInputs()(own)
    assert packed["inputs"].shape == (3, 8, 12)
    check(packed["data_samples"])
    assert "gt_point_places" not in own


def test_a_clip():
    clip = {key: [value, value] for key, value in results().items()}
    packed = PackPoseTrackInputs()(clip | dict(key_frame_flags=[True, False]))
    assert packed["inputs"].shape == (2, 3, 8, 12)
    sample = packed["data_samples"]
    assert (len(sample), sample.key_frames_inds) == (2, [0])
    for frame in sample:
        check(frame)
        assert torch.is_tensor(frame.gt_instances.bboxes)
        assert (frame.frame_number, frame.frame_id, frame.video_id) == (40, 3, "a")


def test_nobody_and_no_annotations():
    sample = PackPoseDetInputs()(results(rows=()))["data_samples"]
    for instances in (sample.gt_instances, sample.ignored_instances):
        assert instances.keypoints.shape == (0, 2, 2)
        assert instances.keypoints_visible.shape == (0, 2)
        assert instances.instances_ids.shape == (0,)
    bare = {key: value for key, value in results().items() if not key.startswith("gt_")}
    assert "keypoints" not in PackPoseDetInputs()(dict(bare))["data_samples"].gt_instances
    clip = {key: [value] for key, value in bare.items()}
    assert "keypoints" not in PackPoseTrackInputs()(clip)["data_samples"][0].gt_instances


def test_own_keys_come_beside_the_default_ones():
    clip = {key: [value] for key, value in results().items()} | dict(seen=[3], other=[4])
    frame = PackPoseTrackInputs(meta_keys="seen")(dict(clip))["data_samples"][0]
    assert (frame.seen, frame.frame_number, "other" in frame) == (3, 40, False)
    frame = PackPoseTrackInputs(meta_keys=("seen", "other"))(dict(clip))["data_samples"][0]
    assert (frame.seen, frame.other) == (3, 4)


def test_frames_of_several_sizes_get_a_sentence():
    clip = {key: [value, value] for key, value in results().items()}
    clip["img"] = [np.zeros((8, 12, 3), np.uint8), np.zeros((8, 14, 3), np.uint8)]
    with pytest.raises(BadInputError, match=r"got \[\(8, 12\), \(8, 14\)\]; set share_random"):
        PackPoseTrackInputs()(clip)
