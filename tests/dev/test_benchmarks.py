"""The rows of the benchmarks are there, and the table says what was measured."""

import ast

import numpy as np
import pytest

from dev.benchmarks import fastpose
from dev.benchmarks import run as benchmarks
from tests import fresh_process


@pytest.mark.parametrize("row", benchmarks.ROWS)
def test_each_row_is_a_name_of_its_module(row: str) -> None:
    module = benchmarks.ROOT / "dev" / "benchmarks" / f"{benchmarks.ROWS[row]}.py"
    names = set()
    for one in ast.parse(module.read_text()).body:
        names |= {one.name} if isinstance(one, ast.FunctionDef) else set()
        names |= {ast.unparse(target) for target in getattr(one, "targets", ())}
    assert row.rpartition("/")[2] in names


WITHOUT_VALUES = """
import importlib, re, torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
)
from dev.benchmarks.run import ROWS, SIDES
for row in rows:
    for side in SIDES:
        case = getattr(importlib.import_module(f"dev.benchmarks.{ROWS[row]}"), row.split("/")[1])
        try:
            with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
                case(side).run()
        except (DataDependentOutputException, DynamicOutputShapeException):
            pass  # a value is asked for: no further without a GPU
        except (RuntimeError, AssertionError) as error:
            # such tensors have no backward pass and no arrays, and nets of them cannot be moved
            if not re.search("CUDA|hasPrimaryContext|numpy|Couldn't swap", str(error)):
                print(f"fault: {row} {side}: {error}")
"""


def misplaced(script: str, *rows: str) -> list[str]:
    """Faults of rows, in a process of its own, since some keep tensors for later."""
    said = fresh_process.run(f"rows = {rows}\n{script}", cwd=benchmarks.ROOT)
    return [line for line in said.splitlines() if line.startswith("fault: ")]


def test_all_tensors_of_a_row_are_on_the_device_that_is_asked_for() -> None:
    rows = [row for row in benchmarks.ROWS if not row.startswith("ops/")]
    assert not misplaced(WITHOUT_VALUES, *rows)


def test_a_tensor_elsewhere_is_found() -> None:
    wrong = "torch.ones(2) + torch.ones(2, device='cpu')"
    found = misplaced(WITHOUT_VALUES.replace("case(side).run()", wrong), "ema/unit")
    assert [line.split(": ")[1] for line in found] == ["ema/unit ours", "ema/unit upstream"]
    assert "cpu" in found[0]


def test_the_table_gives_both_sides_and_their_ratio() -> None:
    ours = dict(seconds=0.0012, kept_bytes=1e6, operators=7, flops=0, peak_bytes=2e6)
    upstream = dict(seconds=0.0024, kept_bytes=4e6, operators=14, flops=0, peak_bytes=0)
    heading, rule, line = benchmarks.table(
        {"gfl/qfl": dict(ours=ours, upstream=upstream)}
    ).splitlines()
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "gfl/qfl",
        "1.2 / 2.4 = 0.50",
        "1 / 4 = 0.25",
        "7 / 14 = 0.50",
        "-",
        "2 / 0 = ∞",
    ]
    assert heading.count("|") == rule.count("|") == line.count("|") == 7


def test_loops_that_a_tracker_and_a_metric_are_timed_against_find_the_same(monkeypatch) -> None:
    for name, value in dict(DETECTIONS=30, TRACKS=12, VIDEOS=3, FRAMES=12, JOINTS=3).items():
        monkeypatch.setattr(fastpose, name, value)
    looped = []
    for name in ("one_oks", "_clear_of"):
        plain = getattr(fastpose, name)
        monkeypatch.setattr(
            fastpose, name, lambda *args, plain=plain: looped.append(plain) or plain(*args)
        )
    ours = fastpose.tracker("ours").run()
    assert not looped
    np.testing.assert_array_equal(ours, fastpose.tracker("upstream").run())
    assert len(looped) == 12 * 30
    assert (ours < 12).any()  # some of the first frame's people are found again
    looped.clear()
    ours = fastpose.metric("ours").run()
    assert not looped
    assert ours == pytest.approx(fastpose.metric("upstream").run())
    assert looped
    assert ours["switches"] > 0
