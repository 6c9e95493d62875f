"""The curve of errors as a picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mmext.landmarks.nme import curve


def draw_curves(
    per_face: Mapping[str, Float[np.ndarray, " N"]], file: str, *, rule: str, up_to: int | float
) -> None:
    """Draw which share of the faces has at most which error, one line a subset.

    Args:
        per_face: errors of the faces of each subset, as shares; NaN does not count.
        file: where the picture goes; its ending says the format.
        rule: how errors are measured, below the axis.
        up_to: the largest error that is drawn.
    """
    from matplotlib.figure import Figure  # not pyplot: no state, no window

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot()
    at = np.linspace(0, up_to, 500)
    for name, errors in per_face.items():
        counted = int((~np.isnan(errors)).sum())
        axes.plot(100 * at, 100 * curve(errors, at), label=f"{name or 'all'} ({counted})")
    axes.set(
        xlabel=f"error in % of {rule}", ylabel="faces in %", xlim=(0, 100 * up_to), ylim=(0, 100)
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
