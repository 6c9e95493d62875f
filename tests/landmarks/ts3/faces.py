"""Drawn faces with nine known points, and students small enough to learn them in seconds."""

from functools import cache

import cv2
import numpy as np
import torch

from mmext.registry import MODELS

SIDE = 64
SHAPE = np.array(
    [[-18, -8], [-8, -8], [8, -8], [18, -8], [0, 2], [-5, 7], [5, 7], [-9, 16], [9, 16]], float
)
"""Outer and inner corners of the eyes, bridge, nostrils, corners of the mouth."""
PAIRS = ((0, 3), (1, 2), (5, 6), (7, 8))
K = len(SHAPE)


def face(rng):
    """A picture (3, 64, 64) and its points: a face that is turned, bent, dim and partly hidden."""
    angle, scale = rng.normal(0, 0.25), rng.uniform(0.6, 1.1)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    bend = np.array([[rng.uniform(0.7, 1.1), rng.normal(0, 0.1)], [0, rng.uniform(0.8, 1.2)]])
    points = (SHAPE + rng.normal(0, 1, SHAPE.shape)) @ bend.T @ turn.T
    points += rng.uniform(26, 38, 2)
    points = points.clip(1, SIDE - 2)
    image = np.full((SIDE, SIDE, 3), rng.uniform(40, 120), np.float32)
    image += rng.normal(0, 1, 3) * 15
    centre = tuple(np.round(points.mean(0)).astype(int).tolist())
    axes = (int(24 * scale), int(28 * scale))
    cv2.ellipse(
        image, centre, axes, np.rad2deg(angle), 0, 360, rng.uniform(130, 220, 3).tolist(), -1
    )
    dark = rng.uniform(0, 90, 3).tolist()
    at = [tuple(np.round(one).astype(int).tolist()) for one in points]
    for one, other in ((0, 1), (2, 3), (7, 8)):
        cv2.line(image, at[one], at[other], dark, 2)
    for number in (4, 5, 6):
        cv2.circle(image, at[number], 1, dark, -1)
    if rng.random() < 0.4:  # something stands before it
        corner = rng.integers(0, SIDE - 20, 2)
        x, y = corner.tolist()
        image[y : y + 20, x : x + 20] = rng.uniform(0, 255)
    image += rng.normal(0, rng.uniform(2, 25), image.shape)
    inputs = torch.tensor(image.transpose(2, 0, 1) / 64 - 2, dtype=torch.float32)
    return inputs, torch.tensor(points, dtype=torch.float32)


@cache
def faces(count, seed):
    """So many pictures (N, 3, 64, 64) and their points (N, K, 2)."""
    rng = np.random.default_rng(seed)
    pictures, points = zip(*(face(rng) for _ in range(count)), strict=True)
    return torch.stack(pictures), torch.stack(points)


def config(**changes):
    """A model of two small students and a small teacher for these faces."""
    students = [
        dict(
            type="mmext.LandmarkDetector",
            net=dict(
                type="mmext.VGGCPM",
                num_keypoints=K,
                width_mult=0.125,
                num_stages=2,
                # without a pretrained trunk a deviation of 0.01 learns nothing in 400 iterations
                init_cfg=dict(type="Kaiming", layer="Conv2d"),
            ),
            codec=dict(type="mmext.GaussianHeatmapCodec", input_size=SIDE, stride=8, sigma=6.0),
        ),
        dict(
            type="mmext.LandmarkDetector",
            net=dict(
                type="mmext.StackedHourglass",
                num_keypoints=K,
                width_mult=0.125,
                num_stacks=1,
                blocks=1,
            ),
            codec=dict(type="mmext.GaussianHeatmapCodec", input_size=SIDE, stride=4, sigma=4.0),
            loss="mean",
        ),
    ]
    teacher = dict(type="mmext.PatchTeacher", width=16)
    return dict(type="mmext.TS3", students=students, teacher=teacher) | changes


def model(seed=0, **changes):
    """The same, built and with weights."""
    torch.manual_seed(seed)
    found = MODELS.build(config(**changes))
    for member in (found.student_a.net, found.student_b.net, found.teacher):
        member.init_weights()  # not the whole model's, which writes a log of each weight
    return found
