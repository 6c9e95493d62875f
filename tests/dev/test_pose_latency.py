"""The latency of FastPose: every part is counted, and the ratios are those of the sums."""

import numpy as np
import pytest
import torch

from dev.benchmarks import pose_latency


@pytest.mark.parametrize("way", pose_latency.WAYS)
def test_every_part_of_a_frame_is_timed(way):
    frames = [np.full((80, 100, 3), 100, np.uint8)] * 2
    found = pose_latency.measure(18, way, frames, short_side=32)
    extra = {"pose network", "re-ID network"} if way == "three" else set()
    assert set(found) == {"network", "RoI heads", "tracker"} | extra
    assert all(value > 0 for value in found.values())


def test_ratios_are_of_sums(monkeypatch):
    sums = {18: dict(one=2.0, three=4.0), 50: dict(one=8.0, three=10.0)}
    monkeypatch.setattr(
        pose_latency,
        "measure",
        lambda depth, way, frames, **_: dict(network=sums[depth][way] - 1, tracker=1.0),
    )
    found = pose_latency.measure_all([], short_side=32)
    assert list(found["ratios"].values()) == [0.25, 0.5, 0.8]
    assert "0.25" in pose_latency.table(found)


def test_a_map_s_peak_lies_in_its_box():
    maps = torch.zeros(1, 1, 4, 2)
    maps[0, 0, 3, 0] = 50
    points, peak = pose_latency.of_maps(maps, torch.tensor([[10.0, 20.0, 14.0, 28.0]]))
    torch.testing.assert_close(points, torch.tensor([[[11.0, 27.0]]]))
    assert peak.item() == pytest.approx(1)
