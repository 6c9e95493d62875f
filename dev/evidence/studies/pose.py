"""Poses: whether a second stage learns keypoints that people marked, and what sharing costs."""

from dev.evidence.changes import (
    all_of,
    mean_pose,
    mouse_in_three,
    two_nets,
)
from dev.evidence.study import Arm, Measure, Study

MOUSE = "configs/pose/fastpose/mtn_faster-rcnn_mobilenet-v2_fpn_1xb4-300i_mouse.py"

STUDIES = {
    "fastpose_mouse": Study(
        question=(
            "Does the keypoint branch learn more of a mouse than the mean pose in its box, and "
            "does it lose anything to a pose net of its own, at equal iterations?"
        ),
        data_name="a running mouse, 50 frames for training, 20 for choosing, 20 to judge",
        limits="anything about people, many objects, tracking or speed; one rig, one mouse",
        arms={
            "mean pose": Arm(MOUSE, all_of(mouse_in_three, mean_pose)),
            "one network": Arm(MOUSE, mouse_in_three),
            "two networks": Arm(MOUSE, all_of(mouse_in_three, two_nets)),
        },
        baseline="mean pose",
        claim="one network",
        primary="keypoint AP",
        measures={
            "keypoint AP": Measure("coco_keypoints/AP", nothing_found=0.0),
            "box AP": Measure("coco/bbox_mAP", nothing_found=0.0),
        },
        data=("mouse", "mobilenet_v2"),
        seeds=tuple(range(6)),
        pairs=(("one network", "two networks"),),
        start="two networks",
    ),
}
