"""A step of TS3 keeps what its larger student's does, and decoding has no loop over maps."""

import numpy as np
import pytest
import torch

from dev.benchmarks import ts3 as rows
from mmext.landmarks.heatmaps import decoded, gaussians
from mmext.landmarks.samples import LandmarkSample
from mmext.landmarks.ts3.model import TS3
from mmext.landmarks.ts3.optimizers import TS3OptimWrapperConstructor
from mmext.measure import most_bytes_kept, num_operators

SIDE, POINTS = 64, 5
MEMBERS = ("student_a", "student_b", "teacher")


@pytest.fixture(scope="module")
def model() -> TS3:
    nets = [
        (dict(type="mmext.VGGCPM", width_mult=0.2, num_stages=1), 8, "sum"),
        (dict(type="mmext.StackedHourglass", width_mult=0.2, num_stacks=1), 4, "mean"),
    ]
    torch.manual_seed(0)
    return TS3(
        [
            dict(
                type="mmext.LandmarkDetector",
                net=dict(net, num_keypoints=POINTS),
                codec=dict(type="mmext.GaussianHeatmapCodec", input_size=SIDE, stride=stride),
                loss=loss,
            )
            for net, stride, loss in nets
        ],
        teacher=dict(type="mmext.PatchTeacher", width=4),
    )


@pytest.fixture
def batch() -> dict:
    generator = torch.Generator().manual_seed(0)
    samples = [LandmarkSample() for _ in range(2)]
    for sample in samples:
        sample.gt_keypoints = torch.rand(POINTS, 2, generator=generator) * SIDE
        sample.gt_visible = torch.ones(POINTS)
    pictures = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    return dict(inputs=list(pictures), data_samples=samples)


def wrappers(model: TS3):
    sgd = dict(optimizer=dict(type="SGD", lr=1e-8))
    return TS3OptimWrapperConstructor(dict.fromkeys(MEMBERS, sgd))(model)


def test_a_step_keeps_what_the_larger_students_does(model: TS3, batch: dict) -> None:
    there = [*model.parameters(), *model.buffers()]
    optims = wrappers(model)
    ready = model.data_preprocessor(batch, True)

    def of_student(number: int) -> int:
        def run() -> None:
            losses, _ = model.student_loss(number, ready["inputs"], ready["data_samples"])
            sum(losses.values()).backward()

        return most_bytes_kept(run, besides=there)

    def at_once() -> None:
        sum(model.loss(ready["inputs"], ready["data_samples"]).values()).backward()

    larger = max(of_student(0), of_student(1))
    in_turn = most_bytes_kept(lambda: model.train_step(batch, optims), besides=there)
    assert larger <= in_turn <= 1.05 * larger
    assert most_bytes_kept(at_once, besides=there) > 1.2 * larger  # else it would prove nothing


def test_decoding_dispatches_as_many_operators_for_one_map_as_for_many() -> None:
    one, many = torch.rand(1, 1, 16, 16), torch.rand(64, 68, 16, 16)
    counts = [num_operators(lambda maps=maps: decoded(maps, stride=4)) for maps in (one, many)]
    assert counts[0] == counts[1] <= 45


def test_the_benchmarks_loop_finds_the_same_points() -> None:
    torch.manual_seed(0)
    maps = gaussians(
        torch.rand(4, 6, 2) * 64, torch.ones(4, 6), cells=(16, 16), stride=4, sigma_px=6.0
    )
    found, _ = decoded(maps, stride=4)
    np.testing.assert_allclose(
        rows.decoded_in_a_loop(maps.numpy(force=True), 4), found, rtol=0, atol=1e-4
    )
