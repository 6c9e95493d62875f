"""``autohas.png``: how sure the search became of each choice, step by step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MOST = 8
"""Choices of a decision that have a line of their own, the likeliest at the end."""


def draw(found: Mapping[str, Any], path: Path) -> bool:
    """Draw the curve of theta, an axis a decision; false without matplotlib or without a step.

    Args:
        found: what ``autohas.json`` holds.
        path: of the picture.
    """
    if not found["curve"]:
        return False
    try:
        figure_of(found).savefig(path, dpi=120)
    except ImportError:
        return False
    return True


def figure_of(found: Mapping[str, Any]) -> Any:
    """The picture before it is a file."""
    from matplotlib.figure import Figure

    names = list(found["probabilities"])
    figure = Figure(figsize=(7, 1 + 2.6 * len(names)), layout="constrained")
    places = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(places, names, strict=True):
        _lines(axes, name, found)
    places[-1].set_xlabel("step")
    return figure


def _lines(axes: Any, name: str, found: Mapping[str, Any]) -> None:
    """The probability of each choice of a decision over the steps; the named one is thick."""
    steps = [row["step"] for row in found["curve"]]
    curves = list(zip(*(row["probabilities"][name] for row in found["curve"]), strict=True))
    choices: Sequence[Any] = found["choices"][name]
    last = found["probabilities"][name]
    shown = sorted(range(len(choices)), key=lambda i: -last[i])[:MOST]
    for i in sorted(shown):
        thick = choices[i] == found["values"][name]
        axes.plot(steps, curves[i], lw=2.4 if thick else 1.2, label=label(choices[i]))
    axes.set(title=name, ylabel="probability", ylim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def label(choice: Any) -> str:
    """A choice in few letters.

    Example:
        >>> label(0.1), label("SGD")
        ('0.1', 'SGD')
    """
    text = f"{choice:.4g}" if isinstance(choice, float) else str(choice)
    return text if len(text) <= 24 else f"{text[:23]}…"
