"""mmpose's samples and data sets and ours: there and back, with stand-ins for its classes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData

from mmext.landmarks import mmpose as bridge
from mmext.landmarks.samples import LandmarkSample

RAW = {
    "dataset_name": "toy",
    "keypoint_info": {
        0: dict(name="nose", id=0, color=[0, 0, 0], type="upper", swap=""),
        1: dict(name="left_eye", id=1, color=[0, 0, 0], type="upper", swap="right_eye"),
        2: dict(name="right_eye", id=2, color=[0, 0, 0], type="upper", swap="left_eye"),
    },
    "skeleton_info": {0: dict(link=("nose", "left_eye"), id=0, color=[0, 0, 0])},
    "joint_weights": [1.0, 1.0, 1.0],
    "sigmas": [0.05, 0.05, 0.05],
}
"""As mmpose's configs/_base_/datasets write it."""

PARSED = {
    "dataset_name": "toy",
    "num_keypoints": 3,
    "keypoint_id2name": {0: "nose", 1: "left_eye", 2: "right_eye"},
    "flip_indices": [0, 2, 1],
    "skeleton_links": [(0, 1)],
}
"""The same behind parse_pose_metainfo."""

OURS = dict(
    keypoint_names=("nose", "left_eye", "right_eye"), flip_pairs=[(1, 2)], skeleton=[(0, 1)]
)


class PoseDataSample(BaseDataElement):
    """Like mmpose's, whose setters take InstanceData alone."""

    @property
    def gt_instances(self) -> InstanceData:
        return self._gt_instances

    @gt_instances.setter
    def gt_instances(self, value: InstanceData) -> None:
        self.set_field(value, "_gt_instances", dtype=InstanceData)

    @property
    def pred_instances(self) -> InstanceData:
        return self._pred_instances

    @pred_instances.setter
    def pred_instances(self, value: InstanceData) -> None:
        self.set_field(value, "_pred_instances", dtype=InstanceData)


def info() -> dict:
    """What a top-down data set of mmpose's lists: an axis of instances, 0 where not labelled."""
    return {
        "id": 7,
        "img_id": 3,
        "img_path": "a.jpg",
        "bbox": np.array([[1, 2, 11, 12]], np.float32),
        "bbox_score": np.ones(1, np.float32),
        "keypoints": np.array([[[5, 6], [7, 8], [0, 0]]], np.float32),
        "keypoints_visible": np.array([[1, 1, 0]], np.float32),
    }


@pytest.mark.parametrize("metainfo", [RAW, PARSED], ids=["as written", "as parsed"])
def test_metainfo_becomes_ours(metainfo):
    assert bridge.metainfo_from_mmpose(metainfo) == OURS


def test_metainfo_goes_there_and_back():
    made = bridge.metainfo_to_mmpose(OURS["keypoint_names"], OURS["flip_pairs"], OURS["skeleton"])
    assert bridge.metainfo_from_mmpose(made) == OURS
    assert made["keypoint_info"][1]["swap"] == "right_eye"
    assert made["keypoint_info"][0]["swap"] == ""
    assert len(made["joint_weights"]) == len(made["sigmas"]) == 3


def test_metainfo_without_points_is_refused():
    with pytest.raises(ValueError, match=r"expected metainfo with keypoint_info .* got classes;"):
        bridge.metainfo_from_mmpose({"classes": ("cat",)})


@pytest.mark.parametrize("indices", [[1, 2, 0], [0, 3]])
def test_flip_indices_that_do_not_lead_back_are_refused(indices):
    with pytest.raises(ValueError, match="each point's partner names it as its own"):
        bridge.pairs_of(indices)


def test_pairs_and_indices_are_each_others_inverse():
    pairs = [(0, 3), (1, 2)]
    assert bridge.pairs_of(bridge.flip_indices_of(pairs, num_keypoints=6)) == pairs


def test_an_entry_loses_its_axis_and_what_is_not_labelled_becomes_nan():
    (entry,) = bridge.entries_from_mmpose(info())
    np.testing.assert_array_equal(entry["keypoints"], [[5, 6], [7, 8], [np.nan, np.nan]])
    np.testing.assert_array_equal(entry["keypoints_visible"], [1, 1, 0])
    np.testing.assert_array_equal(entry["bbox"], [1, 2, 11, 12])
    assert entry["labeled"]
    assert "norm_len" not in entry


def test_an_entry_goes_back_as_it_came():
    (entry,) = bridge.entries_from_mmpose(info())
    back = bridge.entry_to_mmpose(entry, index=3)
    for key in ("img_path", "bbox", "bbox_score", "keypoints", "keypoints_visible"):
        np.testing.assert_array_equal(back[key], info()[key])
    assert back["num_keypoints"] == 2
    assert back["img_id"] == 3


def test_the_size_that_aflw_divides_by_is_kept_both_ways():
    (entry,) = bridge.entries_from_mmpose({**info(), "box_size": np.array([12.5])})
    assert entry["norm_len"] == 12.5
    assert bridge.entry_to_mmpose(entry)["box_size"] == 12.5
    assert "box_size" not in bridge.entry_to_mmpose({**entry, "norm_len": float("nan")})


@pytest.mark.parametrize("box", [None, np.full(4, np.nan)])
def test_without_a_box_the_visible_points_make_one(box):
    (entry,) = bridge.entries_from_mmpose(info())
    np.testing.assert_array_equal(
        bridge.entry_to_mmpose({**entry, "bbox": box})["bbox"], [[5, 6, 7, 8]]
    )


def test_an_entry_whose_points_are_all_invisible_stays_finite():
    (entry,) = bridge.entries_from_mmpose({**info(), "keypoints_visible": np.zeros((1, 3))})
    assert not entry["labeled"]
    back = bridge.entry_to_mmpose({**entry, "bbox": None})
    assert back["num_keypoints"] == 0
    assert np.isfinite(back["keypoints"]).all()
    np.testing.assert_array_equal(back["bbox"], np.zeros((1, 4)))


def test_an_entry_without_points_is_refused():
    with pytest.raises(ValueError, match="expected an entry with keypoints, got one without"):
        bridge.entry_to_mmpose({"img_path": "a.jpg"})


def test_two_instances_make_two_entries_and_weights_behind_visibility_are_left_out():
    both = {**info(), "keypoints": np.arange(12.0).reshape(2, 3, 2)}
    both["bbox"] = np.arange(8.0).reshape(2, 4)
    both["keypoints_visible"] = np.stack([np.eye(3)[:2], np.full((2, 3), 9.0)], -1)
    first, second = bridge.entries_from_mmpose(both)
    np.testing.assert_array_equal(first["keypoints_visible"], [1, 0, 0])
    np.testing.assert_array_equal(second["keypoints"][1], [8, 9])
    np.testing.assert_array_equal(second["bbox"], [4, 5, 6, 7])


def theirs(kind=PoseDataSample, *, found=True, **meta):
    """A sample of a top-down model of mmpose's."""
    one = info()
    sample = kind(metainfo=dict(img_path="a.jpg", ori_shape=(20, 30), **meta))
    sample.gt_instances = InstanceData(
        keypoints=one["keypoints"],
        keypoints_visible=one["keypoints_visible"],
        bboxes=one["bbox"],
    )
    if found:
        sample.pred_instances = InstanceData(
            keypoints=one["keypoints"] + 1, keypoint_scores=np.full((1, 3), 0.5, np.float32)
        )
    return sample


def test_their_sample_becomes_ours_with_truth_and_prediction():
    (ours,) = bridge.samples_from_mmpose(theirs())
    assert isinstance(ours, LandmarkSample)
    np.testing.assert_array_equal(ours.keypoints[:2], [[5, 6], [7, 8]])
    np.testing.assert_array_equal(ours.keypoints_visible, [1, 1, 0])
    np.testing.assert_array_equal(ours.bbox, [1, 2, 11, 12])
    assert ours.ori_shape == (20, 30)
    torch.testing.assert_close(ours.pred_keypoints[0], torch.tensor([6.0, 7.0]))
    torch.testing.assert_close(ours.pred_scores, torch.full((3,), 0.5))


def test_their_sample_without_prediction_has_none():
    (ours,) = bridge.samples_from_mmpose(theirs(found=False))
    assert "pred_keypoints" not in ours


def test_a_mirrored_sample_goes_back_into_its_picture():
    plain = theirs(found=False)
    flipped = theirs(found=False, flip=True, flip_indices=[0, 2, 1])
    truth = flipped.gt_instances
    truth.keypoints = (truth.keypoints * (-1, 1) + (29, 0))[:, [0, 2, 1]].astype(np.float32)
    truth.keypoints_visible = truth.keypoints_visible[:, [0, 2, 1]]
    (want,), (got,) = bridge.samples_from_mmpose(plain), bridge.samples_from_mmpose(flipped)
    np.testing.assert_array_equal(got.keypoints_visible, want.keypoints_visible)
    np.testing.assert_allclose(got.keypoints[:2], want.keypoints[:2])


def test_a_sample_that_stands_on_its_head_is_refused():
    with pytest.raises(ValueError, match="mirrored left to right at most, got 'vertical'"):
        bridge.samples_from_mmpose(theirs(flip=True, flip_direction="vertical"))


def test_predictions_of_other_instances_are_refused():
    sample = theirs()
    sample.pred_instances = InstanceData(
        keypoints=np.zeros((2, 3, 2)), keypoint_scores=np.zeros((2, 3))
    )
    with pytest.raises(ValueError, match="a prediction for each of 1 instances, got 2"):
        bridge.samples_from_mmpose(sample)


@pytest.mark.parametrize("kind", [BaseDataElement, PoseDataSample])
def test_our_samples_of_one_picture_become_one_of_theirs_and_come_back(kind):
    ours = bridge.samples_from_mmpose(theirs()) * 2
    made = bridge.sample_to_mmpose(ours, kind, index=4)
    assert type(made) is kind
    truth, found = made.gt_instances, made.pred_instances
    assert truth.keypoints.shape == found.keypoints.shape == (2, 3, 2)
    assert isinstance(found.keypoints, np.ndarray)  # as mmpose's metrics expect
    assert found.keypoint_scores.shape == truth.keypoints_visible.shape == (2, 3)
    np.testing.assert_array_equal(truth.bbox_centers, [[6, 7]] * 2)
    np.testing.assert_array_equal(truth.bbox_scales, [[10, 10]] * 2)
    assert (made.img_id, made.img_path, made.ori_shape) == (4, "a.jpg", (20, 30))
    again = bridge.samples_from_mmpose(made)
    torch.testing.assert_close(again[1].pred_keypoints, ours[1].pred_keypoints)
    np.testing.assert_array_equal(again[1].keypoints_visible, ours[1].keypoints_visible)


def test_our_samples_without_predictions_make_none():
    ours = bridge.samples_from_mmpose(theirs(found=False))
    assert "pred_instances" not in bridge.sample_to_mmpose(ours)


def test_no_sample_is_refused():
    with pytest.raises(ValueError, match="expected a sample or more of one picture, got none"):
        bridge.sample_to_mmpose([])


def test_whatever_bears_the_names_is_read():
    sample = SimpleNamespace(gt_instances=theirs().gt_instances, img_path="b.jpg")
    sample.get = lambda key, default=None: getattr(sample, key, default)
    (ours,) = bridge.samples_from_mmpose(sample)
    assert ours.img_path == "b.jpg"
    assert "pred_keypoints" not in ours
