"""Two-stage detectors in bfloat16, which mmcv's RoIAlign refuses and mmdet's anchors are too coarse in."""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

from mmext.compat.repair import Repair


class TwoStageBfloat16(Repair):
    """Under autocast, RoIAlign takes bfloat16 maps, and anchors stay float32.

    RoIAlign is compiled for float and half only; it works in float32 here and gives back bfloat16. mmdet
    makes the anchors and points that predictions are decoded with in the dtype of the scores. In bfloat16 a
    position beyond 256 pixels is a multiple of 2, beyond 1024 of 8, and so would be the proposals; NMS
    refuses them.
    """

    name = "two_stage_bfloat16"
    why = "RoIAlign refuses bfloat16 and anchors are rounded to it, so two-stage detectors cannot train in it"
    before = ("mmdet.models",)

    def needed(self) -> bool:
        """True wherever mmdet can be imported: it makes its anchors in the dtype of the scores everywhere."""
        try:
            import mmcv.ops  # noqa: F401
        except ImportError:
            return False
        return importlib.util.find_spec("mmdet") is not None

    def apply(self) -> None:
        """Wrap the generators of priors, and RoIAlign where it refuses: ours in mmext.ops does not."""
        from mmcv.ops import RoIAlign
        from mmdet.models.task_modules.prior_generators import AnchorGenerator, MlvlPointGenerator

        self.wrapped: list[tuple[Any, str, Callable, Callable]] = []
        if _refuses():
            self._wrap(RoIAlign, "forward", align_in_float32)
        for generator in (AnchorGenerator, MlvlPointGenerator):
            self._wrap(generator, "grid_priors", priors_in_float32)

    def _wrap(self, cls: Any, name: str, wrapper: Callable[[Callable], Callable]) -> None:
        plain = getattr(cls, name)
        ours = wrapper(plain)
        setattr(cls, name, ours)
        self.wrapped.append((cls, name, plain, ours))

    def undo(self) -> None:
        """Take the wrappers off again."""
        for cls, name, plain, ours in self.wrapped:
            if getattr(cls, name) is ours:
                setattr(cls, name, plain)


def _refuses() -> bool:
    """Try RoIAlign on one pixel."""
    import torch
    from mmcv.ops import roi_align

    one = torch.ones(1, 1, 1, 1, dtype=torch.bfloat16)
    try:
        roi_align(one, torch.zeros(1, 5, dtype=torch.bfloat16), 1)
    except (RuntimeError, NotImplementedError):
        return True
    return False


def align_in_float32(plain: Callable) -> Callable:
    """RoIAlign's forward that takes bfloat16.

    A map becomes float32 once, not once for the boxes, once for the masks and once more for each stage of a
    cascade: its copy is kept for as long as the map itself.
    """
    import torch
    from torch.utils.weak import WeakTensorKeyDictionary

    copies = WeakTensorKeyDictionary()

    def copy_of(x: Any) -> Any:
        if x.is_inference() or torch.compiler.is_compiling():
            return x.float()  # no version tells of changes; a compiler fuses the copy
        state = (x._version, x.requires_grad and torch.is_grad_enabled())
        kept = copies.get(x)
        if kept is None or kept[0] != state:
            kept = copies[x] = (state, x.float())
        return kept[1]

    @functools.wraps(plain)
    def forward(layer: Any, input: Any, rois: Any) -> Any:
        if input.dtype != torch.bfloat16:
            return plain(layer, input, rois)
        return plain(layer, copy_of(input), rois.float()).to(input.dtype)

    return forward


def priors_in_float32(plain: Callable) -> Callable:
    """A generator's ``grid_priors`` that is never asked for bfloat16."""
    import torch

    @functools.wraps(plain)
    def grid_priors(
        generator: Any, featmap_sizes: Any, dtype: Any = torch.float32, *args: Any, **kwargs: Any
    ) -> Any:
        dtype = torch.float32 if dtype == torch.bfloat16 else dtype
        return plain(generator, featmap_sizes, dtype, *args, **kwargs)

    return grid_priors
