"""The mouse in small: frames and labels in memory, and two students that learn them on one thread.

Frames are whole, never cut by the box of their labels: that box would tell where hidden labels lie.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from mmengine.logging import MMLogger
from torch import Tensor

from dev.evidence.provenance import ROOT
from dev.evidence.study import StudyError
from mmext.landmarks.geometry import box_to_crop, moved, warped
from mmext.landmarks.ts3.model import TS3
from mmext.registry import MODELS

FOLDER = ROOT / "data/mouse"
K, FRAMES = 17, 90
BATCH, RATE, TEACHER_RATE = 8, 5e-3, 1e-3
TURN, SCALE, SHIFT, LIGHT = 15.0, 0.1, 0.05, 0.2
"""Largest turn in degrees, change of size, way in sides, and change of brightness in training."""


@dataclass(frozen=True)
class Frames:
    """Pictures, and points in pixels of them."""

    images: Float[Tensor, "N 3 S S"]
    points: Float[Tensor, "N K 2"]
    visible: Float[Tensor, "N K"]

    def __getitem__(self, rows: Sequence[int] | Int[np.ndarray, " n"]) -> "Frames":
        some = torch.as_tensor(np.asarray(rows))
        return Frames(self.images[some], self.points[some], self.visible[some])

    def to(self, device: str | torch.device) -> "Frames":
        """The same on a device."""
        return Frames(*(one.to(device) for one in vars(self).values()))


@cache
def frames(side: int) -> Frames:
    """All frames that people labelled, at one size; points without a label are 0 and not visible.

    Raises:
        StudyError: the data are not there.
    """
    file = FOLDER / "annotations/all.json"
    if not file.is_file():
        raise StudyError(f"{file}: expected the mouse, found none; run python tools/data/mouse.py")
    found = json.loads(file.read_text())
    names = {image["id"]: image["file_name"] for image in found["images"]}
    images, points, visible = [], [], []
    for one in found["annotations"]:
        picture = np.asarray(cv2.imread(str(FOLDER / "images" / names[one["image_id"]])))
        height, width = picture.shape[:2]
        half = max(height, width) / 2
        box = np.array([width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half])
        matrix = box_to_crop(box, (side, side))
        rows = np.asarray(one["keypoints"], dtype=float).reshape(K, 3)
        seen = rows[:, 2] > 0
        images.append(warped(picture, matrix, (side, side)))
        points.append(moved(rows[:, :2], matrix) * seen[:, None])
        visible.append(seen)
    pixels = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32)
    return Frames(
        torch.from_numpy(pixels / 64 - 2),
        torch.from_numpy(np.stack(points)).float(),
        torch.from_numpy(np.stack(visible)).float(),
    )


def quiet() -> None:
    """No log of how each weight was drawn."""
    MMLogger.get_current_instance().setLevel("WARNING")


def model(side: int, seed: int, **changes: object) -> TS3:
    """Two narrow students and a narrow teacher."""
    start = dict(type="Kaiming", layer="Conv2d")
    codec = dict(type="mmext.GaussianHeatmapCodec", input_size=side)
    pose_machine = dict(type="mmext.VGGCPM", num_keypoints=K, width_mult=0.125, num_stages=2)
    hourglass = dict(type="mmext.StackedHourglass", num_keypoints=K, width_mult=0.125)
    students = [
        dict(
            type="mmext.LandmarkDetector",
            net=pose_machine | dict(init_cfg=start),
            codec=codec | dict(stride=8, sigma=side / 12, window=1),
            loss="mean",
        ),
        dict(
            type="mmext.LandmarkDetector",
            net=hourglass | dict(num_stacks=1, blocks=1),
            codec=codec | dict(stride=4, sigma=side / 16, window=2),
            loss="mean",
        ),
    ]
    torch.manual_seed(seed)
    teacher = dict(type="mmext.PatchTeacher", width=32)
    found = MODELS.build(dict(type="mmext.TS3", students=students, teacher=teacher, **changes))
    for member in (found.student_a.net, found.student_b.net, found.teacher):
        member.init_weights()
    return found


def moved_about(batch: Frames, generator: torch.Generator) -> Frames:
    """A batch turned, scaled, shifted and lit at random; points that leave it are not seen."""
    count, side = len(batch.images), batch.images.shape[-1]

    def draw(most: float) -> Tensor:
        # drawn on the CPU, so that all devices draw the same
        return ((2 * torch.rand(count, generator=generator) - 1) * most).to(batch.images)

    angle, scale = torch.deg2rad(draw(TURN)), 1 + draw(SCALE)
    shift = torch.stack([draw(SHIFT), draw(SHIFT)], -1) * side
    cos, sin = angle.cos() * scale, angle.sin() * scale
    turn = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], 1)  # (B, 2, 2)
    centre = (side - 1) / 2
    points = (batch.points - centre) @ turn.transpose(1, 2) + centre + shift[:, None]
    back = torch.linalg.inv(turn)
    offset = -(back @ shift[..., None]) * 2 / side  # of torch's grid, which runs from -1 to 1
    grid = F.affine_grid(
        torch.cat([back, offset], -1), list(batch.images.shape), align_corners=False
    )
    images = F.grid_sample(batch.images, grid, padding_mode="zeros", align_corners=False)
    inside = ((points >= 0) & (points <= side - 1)).all(-1)
    light = (1 + draw(LIGHT))[:, None, None, None]
    return Frames((images + 2) * light - 2, points, batch.visible * inside)


def batches(count: int, iterations: int, key: Sequence[int], size: int = BATCH) -> Iterator[Tensor]:
    """Rows of each batch, all seen before any is seen again."""
    rng = np.random.default_rng(list(key))
    order = np.concatenate([rng.permutation(count) for _ in range(-(-iterations * size // count))])
    for number in range(iterations):
        yield torch.from_numpy(order[number * size : (number + 1) * size])


def train_student(
    ts3: TS3,
    number: int,
    data: Frames,
    iterations: int,
    seed: int,
    more: Frames | None = None,
    share: float = 0.25,
) -> None:
    """Train one student by itself.

    Args:
        ts3: whose student is trained.
        number: 0 or 1.
        data: with labels.
        iterations: of Adam, at a rate that falls to nothing along a cosine.
        seed: of order and moves.
        more: further frames, which take a share of each batch.
        share: of a batch.
    """
    student = ts3.students[number].train()
    adam = torch.optim.Adam(student.parameters(), RATE)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, iterations)
    g = torch.Generator().manual_seed(seed)
    own = batches(len(data.images), iterations, (seed, 0))
    count = max(round(BATCH * share), 1)
    others = batches(len(more.images), iterations, (seed, 1), count) if more is not None else None
    for rows in own:
        batch = data[rows.numpy()]
        if others is not None and more is not None:
            batch = joined(batch[np.arange(BATCH - count)], more[next(others).numpy()])
        batch = moved_about(batch, g)
        losses = student.losses_of(student.maps(batch.images), batch.points, batch.visible)
        adam.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        adam.step()
        cosine.step()
    student.eval()


def joined(first: Frames, second: Frames) -> Frames:
    """Frames of both."""
    pairs = zip(vars(first).values(), vars(second).values(), strict=True)
    return Frames(*(torch.cat(pair) for pair in pairs))


@torch.no_grad()
def labels_of(ts3: TS3, number: int, images: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N K 2"]:
    """Where a student puts the points."""
    student = ts3.students[number].eval()
    return student.codec.decode(student.maps(images)[-1])[0]


def train_teacher(
    ts3: TS3, data: Frames, guesses: Float[Tensor, "N G K 2"], iterations: int, seed: int
) -> None:
    """Teach the teacher on labelled frames and students' labels of the same frames."""
    adam = torch.optim.Adam(ts3.teacher.train().parameters(), TEACHER_RATE)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, iterations)
    g = torch.Generator().manual_seed(seed)
    device = data.images.device
    other = g if device.type == "cpu" else torch.Generator(device).manual_seed(seed)
    count = guesses.shape[1]
    for rows in batches(len(data.images), iterations, (seed, 2)):
        batch = data[rows.numpy()]
        # the guesses take part in the moves as further points of the same picture
        carried = Frames(
            batch.images,
            torch.cat([batch.points, guesses[rows].flatten(1, 2)], 1),
            torch.cat([batch.visible, batch.visible.new_ones(len(rows), count * K)], 1),
        )
        state = moved_about(carried, g)
        truth, visible = state.points[:, :K], state.visible[:, :K]
        shown = state.points[:, K:].unflatten(1, (count, K))
        loss = ts3.lesson.loss(ts3.teacher, state.images, truth, visible, shown, generator=other)
        adam.zero_grad()
        loss.backward()
        adam.step()
        cosine.step()
    ts3.teacher.eval()


def cross_fitted(data: Frames, seed: int, iterations: int) -> Float[Tensor, "N 1 K 2"]:
    """Labels of each half by a student that saw the other half alone."""
    apart = model(data.images.shape[-1], seed + 1000).to(data.images.device)
    halves = np.arange(len(data.images)) % 2
    found = torch.zeros_like(data.points)[:, None]
    for number in (0, 1):
        train_student(
            apart, number, data[np.flatnonzero(halves == number)], iterations, seed + 2000
        )
        rest = np.flatnonzero(halves != number)
        found[rest, 0] = labels_of(apart, number, data.images[rest])
    return found
