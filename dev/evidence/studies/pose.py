"""Poses: whether a second stage learns keypoints, what sharing costs, and what scales bring."""

from dev.evidence.changes import (
    all_of,
    frozen,
    mean_pose,
    mouse_in_three,
    one_scale,
    two_nets,
    without_ranges,
)
from dev.evidence.study import Arm, Measure, Study

MOUSE = "configs/pose/fastpose/mtn_faster-rcnn_mobilenet-v2_fpn_1xb4-300i_mouse.py"
SIZES = "configs/pose/fastpose/sifp_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps-sizes.py"

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
    "scale_normalised": Study(
        question=(
            "Does a detector that learns and finds each object at a scale that suits its size beat "
            "one that sees a single scale, at equal iterations, and is it the ranges or the scales?"
        ),
        data_name="cut-outs of 24 to 200 pixels",
        limits=(
            "anything about people, natural scenes or long training; several scales take three "
            "times the pixels in testing"
        ),
        arms={
            "one scale": Arm(SIZES, all_of(frozen, one_scale)),
            "several scales": Arm(SIZES, all_of(frozen, without_ranges)),
            "scale-normalised": Arm(SIZES, frozen),
        },
        baseline="one scale",
        claim="scale-normalised",
        primary="AP",
        measures={
            "AP": Measure("coco/bbox_mAP", nothing_found=0.0),
            "AP small": Measure("coco/bbox_mAP_s", nothing_found=0.0),
            "AP medium": Measure("coco/bbox_mAP_m", nothing_found=0.0),
            "AP large": Measure("coco/bbox_mAP_l", nothing_found=0.0),
        },
        data=("stamps_sizes", "mobilenet_v2"),
        seeds=tuple(range(6)),
        pairs=(("scale-normalised", "several scales"),),
        tests={"test": ("--tta",)},
    ),
}
