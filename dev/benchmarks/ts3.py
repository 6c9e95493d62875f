"""Rows of landmarks: decoding maps against a loop, and TS3's step against its parts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmext.landmarks.heatmaps import decoded, gaussians
from mmext.landmarks.samples import LandmarkSample
from mmext.landmarks.stack.detector import LandmarkDetector
from mmext.landmarks.ts3.model import TS3
from mmext.landmarks.ts3.optimizers import TS3OptimWrapperConstructor

from .cases import Case

SIDE, IMAGES, POINTS = 128, 2, 17


def decode(side: str) -> Case:
    """64 faces of 68 maps of 64 x 64, against a loop over the maps with NumPy."""
    points = torch.rand(64, 68, 2) * 256
    maps = gaussians(points, torch.ones(64, 68), cells=(64, 64), stride=4, sigma_px=6.0)
    if side == "ours":
        run: Callable[[], Any] = lambda: decoded(maps, stride=4)  # noqa: E731
    else:
        arrays = maps.numpy(force=True)
        run = lambda: decoded_in_a_loop(arrays, stride=4)  # noqa: E731
    return Case(run, run)


def decoded_in_a_loop(maps: np.ndarray, stride: float, window: int = 4) -> np.ndarray:
    """The same points, one map after the other."""
    points = np.empty((*maps.shape[:2], 2))
    height, width = maps.shape[2:]
    for face, of_face in enumerate(maps):
        for number, one in enumerate(of_face):
            row, column = np.unravel_index(one.argmax(), one.shape)
            top, left = max(row - window, 0), max(column - window, 0)
            bottom, right = min(row + window + 1, height), min(column + window + 1, width)
            part = one[top:bottom, left:right]
            part = np.where(part <= 1e-6, np.finfo(np.float32).eps, part)
            x = (part.sum(0) * np.arange(left, right)).sum() / part.sum()
            y = (part.sum(1) * np.arange(top, bottom)).sum() / part.sum()
            points[face, number] = (x, y)
    return points * stride + (stride - 1) / 2


def _students() -> list[dict[str, Any]]:
    """The paper's two nets, for pictures of 128 x 128 and 17 points."""
    nets = {"VGGCPM": (8, "sum"), "StackedHourglass": (4, "mean")}
    return [
        dict(
            type="mmext.LandmarkDetector",
            net=dict(type=f"mmext.{name}", num_keypoints=POINTS),
            codec=dict(type="mmext.GaussianHeatmapCodec", input_size=SIDE, stride=stride),
            loss=loss,
        )
        for name, (stride, loss) in nets.items()
    ]


def _batch() -> dict[str, Any]:
    points, visible = torch.rand(IMAGES, POINTS, 2) * SIDE, torch.ones(POINTS)
    samples = [LandmarkSample() for _ in range(IMAGES)]
    for sample, own in zip(samples, points, strict=True):
        sample.gt_keypoints, sample.gt_visible = own, visible
    pictures = torch.randint(0, 256, (IMAGES, 3, SIDE, SIDE), dtype=torch.uint8)
    return dict(inputs=list(pictures), data_samples=samples)


def _ts3() -> TS3:
    return TS3(_students()).to(torch.get_default_device())  # its preprocessor is told by that


def _there(model: Any) -> list[Tensor]:
    """What a step finds there: parameters and buffers."""
    return [*model.parameters(), *model.buffers()]


def _wrappers(model: TS3) -> Any:
    """An optimizer for each member."""
    sgd = dict(optimizer=dict(type="SGD", lr=1e-8))
    return TS3OptimWrapperConstructor(dict(student_a=sgd, student_b=sgd, teacher=sgd))(model)


def step(side: str) -> Case:
    """A training step of both students and the teacher, in turn, against the larger student's."""
    model, batch = _ts3(), _batch()
    wrappers = _wrappers(model)
    if side == "upstream":
        larger = model.student_b
        larger.data_preprocessor = model.data_preprocessor
        return _own_step(larger, wrappers["student_b"], batch)
    run: Callable[[], Any] = lambda: model.train_step(batch, wrappers)  # noqa: E731
    return Case(run, run, in_turn=_there(model))


def _own_step(model: LandmarkDetector, wrapper: Any, batch: dict[str, Any]) -> Case:
    run: Callable[[], Any] = lambda: model.train_step(batch, wrapper)  # noqa: E731
    return Case(run, run, in_turn=_there(model))


def step_separate(side: str) -> Case:
    """The same step against three separate ones, the teacher's with labels of its own making."""
    model, batch = _ts3(), _batch()
    wrappers = _wrappers(model)
    if side == "ours":
        return step(side)
    for student in (model.student_a, model.student_b):
        student.data_preprocessor = model.data_preprocessor

    def run() -> None:
        model.student_a.train_step(batch, wrappers["student_a"])
        model.student_b.train_step(batch, wrappers["student_b"])
        data = model.data_preprocessor(batch, True)
        with torch.no_grad():
            guesses = [
                one.codec.decode(one.maps(data["inputs"])[-1])[0]
                for one in (model.student_a, model.student_b)
            ]
        loss = model.teacher_loss(data["inputs"], data["data_samples"], guesses)
        wrappers["teacher"].update_params(loss)

    return Case(run, run, in_turn=_there(model))
