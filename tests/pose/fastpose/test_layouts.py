"""Which points there are: COCO's and PoseTrack's, and which of one are which of the other."""

import numpy as np
import pytest
from pycocotools.cocoeval import Params

from mmext.errors import BadInputError
from mmext.pose.fastpose import layouts
from mmext.pose.fastpose.layouts import KNOWN, Layout, chosen, converted, joint_map


def test_coco_is_cocos():
    coco = KNOWN["coco"]
    assert coco.names[:7] == (
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
        *("left_shoulder", "right_shoulder"),
    )
    np.testing.assert_allclose(coco.sigmas, Params("keypoints").kpt_oks_sigmas)
    assert [len(one.names) for one in KNOWN.values()] == [17, 15, 17]


@pytest.mark.parametrize("layout", KNOWN.values(), ids=KNOWN)
def test_a_known_layout_is_complete(layout):
    assert len(layout.sigmas) == len(set(layout.names)) == len(layout.names)
    sides = {name for name in layout.names if name.startswith(("left", "right"))}
    assert {layout.names[place] for pair in layout.flip_pairs for place in pair} == sides
    for one, other in layout.flip_pairs:
        assert layout.names[one].replace("left", "right") == layout.names[other]
        assert layout.sigmas[one] == layout.sigmas[other]
    assert {place for bone in layout.skeleton for place in bone} >= set(range(3))
    assert all(one != other for one, other in layout.skeleton)


def test_coco_gives_posetrack_all_joints_but_neck_and_top_of_the_head():
    source, target = KNOWN["coco"].names, KNOWN["posetrack15"].names
    mapping = joint_map(target, source)
    lacking = {name for name, parts in zip(target, mapping, strict=True) if not parts}
    assert lacking == {"head_bottom", "head_top"}
    points = np.random.default_rng(0).uniform(1, 99, (2, 17, 3)).astype(np.float32)
    points[..., 2] = 2
    found = converted(points, mapping)
    for place, name in enumerate(target):
        if name in lacking:
            assert not found[:, place].any()
        else:
            np.testing.assert_array_equal(found[:, place], points[:, source.index(name)])


def test_a_neck_may_be_the_middle_of_the_shoulders():
    neck = dict(head_bottom=("left_shoulder", "right_shoulder"))
    mapping = joint_map(["head_bottom"], KNOWN["coco"].names, neck)
    points = np.zeros((17, 3))
    points[5], points[6] = (10, 20, 2), (30, 24, 1)
    np.testing.assert_array_equal(converted(points, mapping), [[20, 22, 1]])
    points[6] = 0
    np.testing.assert_array_equal(converted(points, mapping), [[0, 0, 0]])


def test_metainfo_comes_before_the_file_and_the_file_before_names():
    file = Layout(("a", "left_b", "right_b"), skeleton=((0, 1),))
    assert chosen({}, None, file) == Layout(file.names, ((1, 2),), ((0, 1),), None)
    given = dict(flip_pairs=[], sigmas=[0.1, 0.2, 0.3], skeleton=[("a", "right_b")])
    assert chosen(given, None, file) == Layout(file.names, (), ((0, 2),), (0.1, 0.2, 0.3))
    assert chosen({}, "posetrack15", file) == KNOWN["posetrack15"]
    own = chosen(dict(keypoint_names=["x", "y"]), "coco", file)
    assert own == Layout(("x", "y"))
    assert chosen(dict(keypoint_names=KNOWN["coco"].names), None, None) == KNOWN["coco"]
    assert chosen({}, None, None) is None


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: layouts.known("posetrack16"), r"posetrack17, got 'posetrack16' \(did you mean"),
        (lambda: chosen(dict(sigmas=[0.1]), "coco", None), "a sigma for each of 17 keypoints"),
        (lambda: chosen(dict(flip_pairs=[("a", "b")]), "coco", None), "got 'a'; correct"),
        (lambda: joint_map(["a"], ["b"]), "keypoints named a in the file, got b; name its"),
        (lambda: joint_map(["a"], ["b"], dict(a="c")), "joint_map from a to b, got 'c'"),
        (lambda: joint_map(["a"], ["b"], dict(c="b")), "joint_map from a to b, got 'c'"),
    ],
)
def test_what_does_not_fit_gets_a_sentence(wrong, sentence):
    with pytest.raises(BadInputError, match=sentence):
        wrong()
