"""make gpu-check rehearsed on the CPU: its steps run, a fault fails, and a lack of time is said."""

import json
import sys

import pytest
import torch

from dev.gpu_check.__main__ import main
from dev.gpu_check.checks import CHECKS, measured
from dev.gpu_check.steps import SameChance, compared, largest_error, rounding, step
from mmext.detection.gfl.losses import QualityFocalLoss
from tests.contract.half_precision import Call, faults
from tests.contract.parts import small_configs

SMALL = "qfl-fcos"


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpu_check", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_without_a_gpu_it_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(monkeypatch) == 2
    assert "expected a GPU" in capsys.readouterr().err


def test_its_steps_run_on_the_cpu(monkeypatch, tmp_path):
    checks = ["parity", "precision", "waits", "compiled"]
    file = tmp_path / "found.json"
    arguments = ["--device", "cpu", "--configs", SMALL, "--only", *checks, "--json", str(file)]
    assert run(monkeypatch, *arguments) == 0
    found = json.loads(file.read_text())
    assert set(found["checks"]) == set(checks)
    (name,) = found["checks"]["parity"]
    assert SMALL in name
    assert found["checks"]["parity"][name]["gradient_error"] < 1e-6
    for dtype in ("float16", "bfloat16"):
        assert found["checks"]["precision"][name][dtype]["calls"] > 0
    assert (
        found["checks"]["waits"][name]["counted"]
        >= len(found["checks"]["waits"][name]["in_mmext"])
        > 0
    )
    assert found["machine"]["commit"]


def test_a_wrong_gradient_fails_and_the_others_still_run(monkeypatch, tmp_path, capsys):
    forward = QualityFocalLoss.forward
    calls = []

    def drifts(self, *args, **kwargs):
        calls.append(1)
        return forward(self, *args, **kwargs) * (1 if len(calls) <= 1 else 1.1)

    monkeypatch.setattr(QualityFocalLoss, "forward", drifts)
    arguments = ["--device", "cpu", "--configs", SMALL, "qfl-atss", "--only", "parity"]
    assert run(monkeypatch, *arguments) == 1
    out = capsys.readouterr().out
    assert "gpu-check: " in out
    assert "parity of" in out
    assert out.count("parity qfl-") == 2


def test_several_at_once_find_what_one_at_a_time_finds(monkeypatch, tmp_path):
    found = []
    for jobs in ("1", "2"):
        file = tmp_path / f"{jobs}.json"
        arguments = ["--device", "cpu", "--configs", SMALL, "qfl-retina", "--only", "waits"]
        assert run(monkeypatch, *arguments, "--jobs", jobs, "--json", str(file)) == 0
        found.append(json.loads(file.read_text())["checks"])
    assert len(found[0]["waits"]) == 2
    assert found[0] == found[1]


def test_a_run_that_is_ended_leaves_what_it_has_found(monkeypatch, tmp_path):
    waits = CHECKS["waits"]

    def ended_at_the_second(paths, device, deadline):
        if file.is_file():
            raise KeyboardInterrupt
        return waits(paths, device, deadline)

    monkeypatch.setitem(CHECKS, "waits", ended_at_the_second)
    file = tmp_path / "found.json"
    arguments = ["--device", "cpu", "--configs", "autohas", "--only", "waits", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["gpu_check", *arguments])
    with pytest.raises(KeyboardInterrupt):
        main()
    assert len(json.loads(file.read_text())["checks"]["waits"]) == 1


def test_without_time_everything_is_left_out_and_said(monkeypatch, capsys):
    assert run(monkeypatch, "--device", "cpu", "--minutes", "0") == 0
    out = capsys.readouterr().out
    for path in small_configs():
        assert f"parity {path.stem}: {{'ok': True, 'left_out': 'no time was left'}}" in out


def test_an_unknown_config_is_an_error_that_lists_them(monkeypatch, capsys):
    assert run(monkeypatch, "--device", "cpu", "--configs", "nothing-like-it") == 2
    assert small_configs()[0].stem in capsys.readouterr().err


def test_errors_are_measured_by_the_whole_gradient():
    expected = dict(
        a=torch.ones(4, dtype=torch.float64), b=torch.full((4,), 1e-9, dtype=torch.float64)
    )
    found = dict(a=expected["a"] * 1.01, b=torch.zeros(4, dtype=torch.float64))
    name, error = largest_error(found, expected)
    assert name == "a"
    assert abs(error - 0.01) < 1e-9
    assert compared((1.0, found), (1.0, expected), 0.02)["ok"]
    assert not compared((1.0, found), (1.0, expected), 0.005)["ok"]
    assert not compared((1.0, dict(found, a=expected["a"] * float("nan"))), (1.0, expected), 0.5)[
        "ok"
    ]
    assert not compared((float("nan"), expected), (1.0, expected), 0.5)["ok"]
    with pytest.raises(AssertionError, match="different parameters"):
        largest_error(dict(a=expected["a"]), expected)


def test_each_device_is_given_the_same_random_numbers():
    def draws(seed: int) -> list[torch.Tensor]:
        own = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        like = torch.empty(3, dtype=torch.float64)
        return [
            torch.rand((2, 3), generator=own, device="cpu"),
            torch.randn(4, dtype=torch.float64),
            torch.randint(7, (5,), generator=own),
            torch.randperm(6),
            torch.rand_like(like),
            torch.randn_like(like),
        ]

    with SameChance():
        one = draws(0)
    with SameChance():
        other = draws(1)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert all(not torch.equal(a, b) for a, b in zip(draws(0), draws(1), strict=True))
    assert [x.dtype for x in one] == [x.dtype for x in draws(0)]


def test_what_rounding_does_to_a_step_is_measured_where_a_threshold_is_met():
    class Host:
        @staticmethod
        def loss(model, data):
            return model(data["x"]).relu().sum()

    def rounded(*inputs: float) -> float:
        net, data = torch.nn.Linear(2, 1, bias=False), dict(x=torch.tensor([inputs]))
        torch.nn.init.ones_(net.weight)
        return rounding(Host, net, data, step(Host, net, data))

    assert rounded(1.0, 1.0) < 1e-6
    assert rounded(1.0, -1.0) > 0.5  # a sum of nought: the last bit decides whether it counts


def test_what_hosts_print_between_the_rows_is_passed_over():
    lines = [
        "11/26 18:43:09 - mmengine - INFO - a line of a host\n",
        '{"row": "gfl/loss", "seconds": 0.5}\n',
        '{"row": "cut off in the mid',
    ]
    assert measured(lines) == {"gfl/loss": {"seconds": 0.5}}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_gradient_that_is_lost_or_overflows_in_half_precision_is_a_fault(dtype):
    class Square(torch.nn.Module):
        factor = 1.0

        def forward(self, x):
            lost = self.factor if torch.is_autocast_enabled("cpu") else 1.0
            return (lost * x * x).sum((1, 2))

    part = Square()
    call = Call(part, part.forward, (torch.randn(2, 8, 8, requires_grad=True),), {})
    assert not list(faults(call, dtype))
    for part.factor in (0.036, float("inf"), -1.0, float("nan")):
        assert list(faults(call, dtype)), part.factor
