"""Pictures of tracked people: a file a frame, in the video's folder, in the people's colours."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import TrackDataSample

from mmext.errors import BadInputError
from mmext.inference.people import colour_of
from mmext.pose.fastpose.vis_hook import PoseTrackVisHook
from tests.pose.fastpose.tracked import frame, person


@pytest.fixture
def clip(tmp_path):
    cv2.imwrite(str(tmp_path / "plain.png"), np.zeros((80, 100, 3), np.uint8))
    points = person(30.0) + np.array([0, 15, 0])
    frames = [
        frame([], [(4, points)], number, "walk", img_path=str(tmp_path / "plain.png"))
        for number in range(3)
    ]
    for one in frames:
        one.pred_track_instances.bboxes = torch.tensor([[20.0, 10, 60, 70]])
    sample = TrackDataSample()
    sample.video_data_samples = frames
    return sample


def test_every_second_frame_is_drawn_with_the_data_set_s_skeleton(tmp_path, clip):
    meta = dict(skeleton=((0, 1), (1, 2)))
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=meta))
    runner = SimpleNamespace(work_dir=tmp_path, test_dataloader=loader, val_dataloader=loader)
    hook = PoseTrackVisHook(interval=2)
    hook.after_test_iter(runner, 0, None, [clip])
    files = sorted(one.name for one in (tmp_path / "tracked" / "walk").iterdir())
    assert files == ["000000.jpg", "000002.jpg"]
    drawn = cv2.imread(str(tmp_path / "tracked" / "walk" / "000002.jpg"))[..., ::-1].astype(int)
    for x, y in ((20, 40), (30, 25), (30, 35)):  # the box, a bone, a point
        assert np.abs(drawn[y, x] - colour_of(4)).max() < 60
    assert drawn[75, 90].max() < 20


def test_nobody_and_boxes_alone_are_fine(tmp_path, clip):
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo={}))
    runner = SimpleNamespace(work_dir=tmp_path, val_dataloader=loader)
    first, second, _ = clip.video_data_samples
    del first.pred_track_instances.keypoints
    second.pred_track_instances = second.pred_track_instances[:0]
    PoseTrackVisHook(folder="seen").after_val_iter(runner, 0, None, [clip])
    assert len(list((tmp_path / "seen" / "walk").iterdir())) == 3
    with pytest.raises(BadInputError, match="interval: expected 1 or more, got 0"):
        PoseTrackVisHook(interval=0)
