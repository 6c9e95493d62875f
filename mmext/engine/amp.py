"""Mixed precision: which wrapper of the optimizer, and one for where mmengine's refuses to work.

float16    needs a loss scale, and a GPU; the hosts' ``--amp``
bfloat16   has float32's range, needs no scale and runs everywhere; slower than float32 on old GPUs
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from mmext.errors import BadInputError
from mmext.registry import OPTIM_WRAPPERS

DTYPES = ("float16", "bfloat16")
ONLY_SCALED = ("loss_scale", "dtype", "use_fsdp")
"""What AmpOptimWrapper takes and a wrapper without a loss scale does not."""


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Run the forward pass in bfloat16, which has float32's range and so needs no loss scale."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Add autocast to the host's context for gradient accumulation."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def use(cfg: Config, dtype: str | None = None) -> None:
    """Switch mixed precision on.

    Args:
        cfg: changed in place.
        dtype: ``float16`` or ``bfloat16``; None leaves it to the config's wrapper: float16 on GPUs
            unless it says otherwise, and bfloat16 on CPUs.

    Raises:
        BadInputError: the config's wrapper is of another kind, or this machine cannot do it.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper.get("type", "OptimWrapper")
    kind = kind if isinstance(kind, str) else kind.__name__  # given as a class
    kind = kind.removeprefix("mmengine.").removeprefix("mmext.")
    if kind not in ("OptimWrapper", "AmpOptimWrapper", "Bfloat16OptimWrapper"):
        raise BadInputError(
            f"{cfg.filename}: --amp expected an OptimWrapper or AmpOptimWrapper there, got "
            f"{kind!r}; leave --amp out, or set the precision in that wrapper"
        )
    gpu = torch.cuda.is_available()
    if dtype == "float16" and not gpu:
        raise BadInputError("--amp-dtype float16: expected a GPU, torch finds none; take bfloat16")
    said = "bfloat16" if kind.startswith("Bfloat16") else wrapper.get("dtype")
    dtype = dtype or (said if said in DTYPES else "float16") if gpu else "bfloat16"
    if dtype == "float16":
        wrapper.type = "AmpOptimWrapper"
        wrapper.pop("dtype", None)  # float16 is what autocast takes there
        wrapper.setdefault("loss_scale", "dynamic")
        return
    for only_scaled in ONLY_SCALED:
        wrapper.pop(only_scaled, None)
    wrapper.type = "mmext.Bfloat16OptimWrapper"
    # The saved config must find the class again, also from the hosts' own tools.
    imports = cfg.get("custom_imports") or {}
    named = imports.get("imports") or []
    named = [named] if isinstance(named, str) else list(named)
    if __name__ not in named:
        cfg.custom_imports = {**imports, "imports": [*named, __name__]}
