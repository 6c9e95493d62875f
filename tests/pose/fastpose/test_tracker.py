"""The tracker in mmdet's interface: what it reads, what it gives back, when it begins anew."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmext.errors import BadInputError
from mmext.pose.fastpose.tracker import OcclusionAwareTracker
from mmext.registry import MODELS


def sample(boxes, *, frame, video=1, scores=None, **fields) -> DetDataSample:
    count = len(boxes)
    one = DetDataSample(metainfo=dict(frame_id=frame, video_id=video, sigmas=(0.05,) * 4))
    one.pred_instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.full((count,), 0.9) if scores is None else torch.tensor(scores),
        labels=torch.zeros(count, dtype=torch.long),
        **fields,
    )
    return one


def box(left: float) -> list[float]:
    return [left, 0, left + 20, 40]


def ids(tracker, *args, **kwargs) -> list[int]:
    return tracker.track(sample(*args, **kwargs)).instances_id.tolist()


@pytest.fixture
def tracker() -> OcclusionAwareTracker:
    return MODELS.build(dict(type="mmext.OcclusionAwareTracker"))


def test_a_track_goes_on_and_another_video_begins_anew(tracker):
    assert tracker.empty
    assert ids(tracker, [box(0), box(100)], frame=0) == [0, 1]
    assert ids(tracker, [box(101), box(1)], frame=1) == [1, 0]
    assert not tracker.empty
    assert ids(tracker, [box(1)], frame=7, video=2) == [0]
    assert ids(tracker, [box(50)], frame=0, video=2) == [0]  # the same video once more


def test_who_has_no_identity_is_left_out_and_the_others_keep_all_they_had(tracker):
    points = torch.rand(2, 4, 2)
    found = sample(
        [box(0), box(100)],
        frame=0,
        scores=[0.2, 0.9],
        keypoints=points,
        keypoint_scores=torch.rand(2, 4),
        keypoints_visible=torch.ones(2, 4),
        embeddings=torch.eye(2),
    )
    tracked = tracker.track(found, model=None, img=None)
    assert tracked.instances_id.tolist() == [0]
    torch.testing.assert_close(tracked.keypoints, points[1:])
    assert tracked.bboxes.tolist() == [box(100)]
    assert set(tracked.keys()) == {*found.pred_instances.keys(), "instances_id"}
    assert tracker.people.sigmas == (0.05,) * 4


def test_visibility_is_read_before_the_scores_of_points(tracker):
    hidden = dict(keypoints=torch.rand(1, 4, 2), keypoint_scores=torch.ones(1, 4))
    assert ids(tracker, [box(0)], frame=0, keypoints_visible=torch.zeros(1, 4), **hidden) == []
    assert ids(tracker, [box(0)], frame=0, **hidden) == [0]


def test_the_data_set_s_sigmas_hold_for_its_own_videos_alone(tracker):
    tracker.track(sample([box(0)], frame=0))
    other = sample([box(0)], frame=0, video=2)
    other.set_metainfo(dict(sigmas=(0.1,) * 15))
    tracker.track(other)
    assert tracker.people.sigmas == (0.1,) * 15
    points = dict(keypoints=torch.rand(1, 17, 2), keypoint_scores=torch.ones(1, 17))
    wrong = sample([box(0)], frame=0, video=3, **points)
    with pytest.raises(BadInputError, match="each of the detector's 17 keypoints, got 4; set num"):
        tracker.track(wrong)
    own = OcclusionAwareTracker(sigmas=(0.2,) * 17)
    assert own.track(wrong).instances_id.tolist() == [0]


def test_a_frame_without_detections_and_one_out_of_order(tracker):
    assert ids(tracker, [box(0)], frame=3) == [0]
    assert ids(tracker, [], frame=4) == []
    assert ids(tracker, [box(0)], frame=5) == [0]
    with pytest.raises(BadInputError, match="frame 2: expected one after frame 5"):
        ids(tracker, [box(0)], frame=2)


def test_the_file_s_number_measures_time(tracker):
    near = sample([box(0)], frame=0)
    near.set_metainfo(dict(frame_number=10))
    far = sample([box(0)], frame=1)
    far.set_metainfo(dict(frame_number=50))
    assert tracker.track(near).instances_id.tolist() == [0]
    assert tracker.track(far).instances_id.tolist() == [1]  # forgotten after 30 frames
    assert np.array_equal(tracker.people.tracks.last_seen, [50])
