"""What rounds are worth: do scores tell good labels from bad ones, and what to label next."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmext.landmarks.ts3 import scores
from mmext.landmarks.ts3.bank import Bank
from mmext.landmarks.ts3.labelling import Predicted
from mmext.registry import HOOKS

FEWEST = 3
"""Labels with a hidden truth, below which no correlation is told."""


@HOOKS.register_module()
class TS3Report(Hook):
    """Writes ``round_<k>/report.json`` and ``round_<k>/label_next.txt`` into the work dir.

    The report holds the share of labels that count, the students' distance and, where the
    unlabelled data set has labels that training does not see, the mean errors of all and of the
    better half, and the rank correlation of each signal and of the score with the error: 1 is a
    perfect judge, 0 a blind one. The list names pictures with the worst scores first: to label
    those by hand teaches most.

    Args:
        next_count: pictures in the list.
    """

    def __init__(self, next_count: int = 20) -> None:
        self.next_count = next_count

    def after_labelling(self, runner: Any, number: int, bank: Bank, predicted: Predicted) -> None:
        """Write and log it; called by the loop.

        Args:
            runner: of the run.
            number: of the round.
            bank: its labels.
            predicted: what they were made from.
        """
        if not dist.is_main_process():
            return
        found = dict(round=number, **summary(bank, predicted))
        folder = Path(runner.work_dir) / f"round_{number}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(found, indent=1) + "\n")
        worst = next_to_label(bank, self.next_count)
        (folder / "label_next.txt").write_text("".join(f"{name}\n" for name in worst))
        numbers = {f"ts3/{key}": value for key, value in found.items() if value is not None}
        runner.visualizer.add_scalars(numbers, step=runner.iter)
        print_log(
            "TS3 report: " + ", ".join(f"{key} {value:.3g}" for key, value in numbers.items()),
            logger="current",
        )


def summary(bank: Bank, predicted: Predicted) -> dict[str, float | None]:
    """The numbers of a round; None where there is no hidden truth.

    Errors and distances are in percent of the input's side, correlations are Spearman's with minus
    the error.
    """
    told: dict[str, float | None] = dict(
        accepted=float((bank.weights.sum(-1) > 0).mean()),
        weight=float(bank.weights.mean()),
        student_gap=float(100 * predicted.apart.mean()),
        fallback=float(bank.fallback),
    )
    signals = dict(
        teacher=bank.teacher, agreement=bank.agreement, peak=bank.peaks.mean(-1), score=bank.score
    )
    known = np.isfinite(predicted.error)
    names = [*(f"spearman_{one}" for one in signals), "error", "error_better_half", "error_gap"]
    if known.sum() < FEWEST:
        return {**told, **dict.fromkeys(names)}
    error = torch.from_numpy(predicted.error[known])
    for name, signal in signals.items():
        value = torch.from_numpy(np.ascontiguousarray(signal[known])).double()
        told[f"spearman_{name}"] = _number(scores.spearman(value, -error))
    score = torch.from_numpy(bank.score[known])
    better = torch.argsort(score, dim=0, descending=True, stable=True)[: (len(score) + 1) // 2]
    told["error"] = _number(100 * error.mean())
    told["error_better_half"] = _number(100 * error[better].mean())
    told["error_gap"] = _number(torch.tensor(100 * np.diff(np.nanmean(predicted.error, 0))[0]))
    return told


def _number(value: torch.Tensor) -> float | None:
    """A number, or None: JSON has no NaN."""
    return float(value) if bool(value.isfinite()) else None


def next_to_label(bank: Bank, count: int) -> list[str]:
    """Names of the pictures whose better label has the worst score."""
    order = np.argsort(bank.score.max(1), kind="stable")[:count]
    return [bank.names[row] for row in order]
