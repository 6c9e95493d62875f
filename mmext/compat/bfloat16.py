"""bfloat16, which mmcv's compiled operators refuse and mmdet's anchors are too coarse in."""

import functools
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

from mmext.compat.repair import Exchanging, Wrapping


class TwoStageBfloat16(Wrapping):
    """Under autocast, RoIAlign takes bfloat16 maps, and anchors stay float32.

    RoIAlign is compiled for float and half only; it works in float32 here and gives back bfloat16.
    mmdet makes the anchors and points that predictions are decoded with in the dtype of the scores.
    In bfloat16 a position beyond 256 pixels is a multiple of 2, beyond 1024 of 8, and so would be
    the proposals; NMS refuses them.
    """

    name = "two_stage_bfloat16"
    why = (
        "RoIAlign refuses bfloat16 and anchors are rounded to it, so two-stage detectors cannot "
        "train in it"
    )
    before = ("mmdet.models",)

    def needed(self) -> bool:
        """True wherever mmdet can be imported: it always makes anchors in the scores' dtype."""
        try:
            import mmcv.ops  # noqa: F401
        except ImportError:
            return False
        return importlib.util.find_spec("mmdet") is not None

    def apply(self) -> None:
        """Wrap the prior generators, and RoIAlign where it refuses: ours in mmext.ops does not."""
        from mmcv.ops import RoIAlign
        from mmdet.models.task_modules.prior_generators import AnchorGenerator, MlvlPointGenerator

        if _compiled():
            self.wrap(RoIAlign, "forward", align_in_float32)
        for generator in (AnchorGenerator, MlvlPointGenerator):
            self.wrap(generator, "grid_priors", priors_in_float32)


class CompiledBfloat16(Wrapping):
    """Every function of mmcv's own extension takes bfloat16: it works in float32, on copies.

    None of them is compiled for bfloat16 on CPUs, and few are on GPUs. A function writes its
    results into tensors that it is given, so each of these gets back what its copy holds.
    """

    name = "compiled_bfloat16"
    why = (
        "mmcv's compiled operators refuse bfloat16, so --amp fails on CPUs wherever a model uses "
        "one"
    )
    after = ("mmcv.ops",)

    def needed(self) -> bool:
        """True for mmcv's own extension; ours takes any float type."""
        return _compiled()

    def apply(self) -> None:
        """Wrap all functions at once: whichever a config reaches."""
        from mmcv.ops.roi_align import RoIAlignFunction

        self.wrap(RoIAlignFunction, "forward", places_in_float32)
        extension = sys.modules["mmcv._ext"]
        for name, one in list(vars(extension).items()):
            if callable(one) and not name.startswith("_"):
                self.wrap(extension, name, in_float32)


class BatchedNmsHalf(Exchanging):
    """``batched_nms`` computes in float32 whatever type its boxes have.

    It keeps classes apart by shifting each one's boxes far away. In bfloat16 or float16 nothing of
    a box is left there but its rough place, or infinity.
    """

    name = "batched_nms_half"
    why = (
        "batched_nms shifts boxes by more than half precision can hold, and drops or keeps the "
        "wrong ones"
    )
    after = ("mmcv.ops.nms",)

    def apply(self) -> None:
        """Put ours in its place before anybody binds it."""
        nms = sys.modules["mmcv.ops.nms"]
        host = nms.batched_nms

        @functools.wraps(host)
        def batched_nms(boxes: Any, scores: Any, *args: Any, **kwargs: Any) -> Any:
            if boxes.dtype.itemsize > 2:
                return host(boxes, scores, *args, **kwargs)
            found, kept = host(boxes.float(), scores.float(), *args, **kwargs)
            return found.to(boxes.dtype), kept

        self.exchange(host, batched_nms)


def in_float32(plain: Callable) -> Callable:
    """An operator that is never given bfloat16."""

    @functools.wraps(plain)
    def run(*args: Any, **kwargs: Any) -> Any:
        copies = _Copies()
        result = plain(
            *(copies.of(one) for one in args),
            **{name: copies.of(one) for name, one in kwargs.items()},
        )
        return copies.give_back(result)

    return run


class _Copies:
    """float32 copies of the bfloat16 tensors among a call's arguments."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Any, Any]] = []

    def of(self, value: Any) -> Any:
        """What is passed on for an argument."""
        import torch

        if isinstance(value, list | tuple):
            return type(value)(self.of(one) for one in value)
        if not isinstance(value, torch.Tensor) or value.dtype != torch.bfloat16:
            return value
        known = next((wide for narrow, wide in self.pairs if narrow is value), None)
        if known is None:
            known = value.detach().float()
            self.pairs.append((value, known))
        return known

    def give_back(self, result: Any) -> Any:
        """Write into each argument what its copy now holds; returns the result in bfloat16."""
        for narrow, wide in self.pairs:
            if narrow.shape == wide.shape:  # else it was room to work in
                # .data: autograd must not take what stays the same for something that was changed
                narrow.data.copy_(wide)
        return self._narrow(result) if self.pairs else result

    def _narrow(self, value: Any) -> Any:
        import torch

        if isinstance(value, list | tuple):
            return type(value)(self._narrow(one) for one in value)
        return (
            value.bfloat16()
            if isinstance(value, torch.Tensor) and value.dtype == torch.float32
            else value
        )


def places_in_float32(plain: Callable) -> Callable:
    """RoIAlign's autograd function, which keeps the place of each maximum in the map's type."""
    import torch

    @functools.wraps(plain)
    def forward(ctx: Any, input: Any, rois: Any, *args: Any) -> Any:
        if input.dtype != torch.bfloat16:
            return plain(ctx, input, rois, *args)
        return plain(ctx, input.float(), rois.float(), *args).to(input.dtype)

    return forward


def _compiled() -> bool:
    """Whether mmcv's own extension serves its operators."""
    extension = sys.modules.get("mmcv._ext")
    return extension is not None and getattr(extension, "SERVED_BY", None) != "mmext"


def align_in_float32(plain: Callable) -> Callable:
    """RoIAlign's forward that takes bfloat16.

    A map becomes float32 once, not once for the boxes, once for the masks and once more for each
    stage of a cascade: its copy is kept for as long as the map itself.
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
