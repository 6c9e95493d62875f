"""From the ``swn`` of a config to its kind of sample weighting.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      none: torch and mmengine
"""

import inspect
import logging
from typing import Any

from mmengine.logging import print_log

from mmext.detection.sample_weighting.constant import ConstantWeighting
from mmext.detection.sample_weighting.objective import ClosedFormWeighting, LearnedWeighting
from mmext.detection.sample_weighting.weighting import SampleWeighting, one_of
from mmext.errors import did_you_mean

MODES: dict[str, type[SampleWeighting]] = {
    "mlp": LearnedWeighting,
    "closed_form": ClosedFormWeighting,
    "constant": ConstantWeighting,
}


def sample_weighting(*, mode: str = "mlp", **settings: Any) -> SampleWeighting:
    """Build one of the three kinds.

    Settings that only another kind has are left out with a warning, so that a config may change
    ``mode`` alone.

    Args:
        mode: ``mlp``, the paper's network; ``closed_form``, the optimum of the same objective,
            without parameters; ``constant``, the numbers of ``weights``.
        settings: arguments of the kind.

    Raises:
        ValueError: the mode or a setting is unknown, or out of its range.
    """
    one_of("mode", mode, list(MODES))
    kind = MODES[mode]
    known = {name for one in MODES.values() for name in arguments(one)}
    for name in settings:
        if name not in known:
            raise ValueError(
                f"sample weighting has no argument {name!r}{did_you_mean(name, known)}; "
                f"mode={mode!r} takes {', '.join(sorted(arguments(kind)))}"
            )
    idle = sorted(settings.keys() - arguments(kind))
    if idle:
        print_log(
            f"sample weighting: {', '.join(idle)} mean nothing with mode={mode!r} and are left out",
            logger="current",
            level=logging.WARNING,
        )
    return kind(**{name: value for name, value in settings.items() if name not in idle})


def arguments(kind: type) -> set[str]:
    """Names of a class's arguments, those of its parents included."""
    parameters = [
        p for one in kind.__mro__ for p in inspect.signature(one.__init__).parameters.values()
    ]
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
