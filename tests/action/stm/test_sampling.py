"""SegmentRepeatSample: one frame a segment and view, repeatable; bad input named with its file."""

import numpy as np
import pytest
from mmaction.datasets.transforms import RawFrameDecode, ThreeCrop  # noqa: F401  fills the registry
from mmaction.registry import TRANSFORMS

from mmext.action.stm.sampling import SegmentRepeatSample, sample_segments


def video(total_frames=40, name="a.mp4", start_index=0):
    return dict(total_frames=total_frames, filename=name, start_index=start_index)


def drawn(results=None, **options):
    options = dict(num_segments=8, seed=0) | options
    return SegmentRepeatSample(**options)(results or video())["frame_inds"]


@pytest.mark.parametrize(
    ("total", "segments"), [(40, 8), (41, 8), (8, 8), (100, 16), (3, 8), (1, 4)]
)
def test_each_view_has_one_frame_of_each_segment(total, segments):
    views = sample_segments(total, segments, 200, np.random.default_rng(0))
    assert views.shape == (200, segments)
    edges = np.arange(segments + 1) * total / segments
    for number in range(segments):
        frames = set(views[:, number])
        expected = range(int(edges[number]), min(total, int(np.ceil(edges[number + 1]))))
        assert frames == set(expected), "every frame of the segment and no other"


def test_views_lie_in_a_row_and_tell_the_host_what_it_asks():
    results = SegmentRepeatSample(8, num_repeats=10, seed=0)(video(start_index=1))
    views = results["frame_inds"].reshape(10, 8)
    assert views.dtype == np.int32
    assert (np.diff(views, axis=1) > 0).all()
    assert views.min() >= 1
    assert views.max() <= 40
    assert len({tuple(view) for view in views}) > 1, "each repeat draws anew"
    assert (results["clip_len"], results["frame_interval"], results["num_clips"]) == (1, 1, 80)


def test_a_seed_gives_a_video_the_same_views_and_another_video_others():
    assert np.array_equal(drawn(), drawn())
    assert not np.array_equal(drawn(), drawn(video(name="b.mp4")))
    assert np.array_equal(drawn(video(name="/here/a.mp4")), drawn(video(name="/there/data/a.mp4")))
    assert not np.array_equal(drawn(), drawn(seed=1))
    assert not np.array_equal(drawn(seed=None), drawn(seed=None))


def test_it_is_the_papers_thirty_views_in_the_hosts_pipeline():
    results = TRANSFORMS.build(dict(type="mmext.SegmentRepeatSample", num_segments=4, seed=0))(
        video()
    )
    results["imgs"] = [np.full((40, 60, 3), i, np.uint8) for i in results["frame_inds"]]
    results["img_shape"] = (40, 60)
    cropped = TRANSFORMS.build(dict(type="mmaction.ThreeCrop", crop_size=40))(results)
    assert len(cropped["imgs"]) == 10 * 3 * 4
    first_view = [int(image[0, 0, 0]) for image in cropped["imgs"][:4]]
    assert first_view == list(results["frame_inds"][:4]), "frames of a view stay together"


def test_a_video_that_is_too_short_is_named():
    with pytest.raises(
        ValueError, match=r"a\.mp4: expected at least 8 frames, one a segment, got 3; leave it"
    ):
        drawn(video(3))
    with pytest.raises(
        ValueError, match=r"a\.mp4: expected at least 8 frames, one a segment, got 0; leave"
    ):
        drawn(video(0))
    with pytest.raises(ValueError, match=r"clip_7: expected at least 8 frames"):
        drawn(dict(total_frames=2, frame_dir="clip_7", start_index=1))
    assert len(drawn(video(3), allow_short=True)) == 80
    with pytest.raises(ValueError, match="got 0"):
        drawn(video(0), allow_short=True)
