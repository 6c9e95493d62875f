"""When the next step need not run stem and first stage: they would repeat the last step's."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from mmext.detection.detecto_rs.aws import KeptTensors
from mmext.detection.detecto_rs.backbone import DetectoRS_ResNet


class StemReuse:
    """Decides whether one backbone's stem and first stage may stand for another's.

    They may if the stage takes no feedback, nothing in them acts differently from call to call, and
    either the two are one, or they are equal and no gradient is wanted. Comparing weights takes
    time, so the answer is kept until one of them changes.
    """

    def __init__(self) -> None:
        self._kept: dict[int, KeptTensors] = {}

    def forget(self) -> None:
        """Compare anew next time."""
        self._kept.clear()

    def __call__(self, first: nn.Module | None, following: nn.Module | None) -> bool:
        """Whether ``following`` on the image that ``first`` has seen would repeat its first map."""
        if not (isinstance(first, DetectoRS_ResNet) and isinstance(following, DetectoRS_ResNet)):
            return False
        if first.out_indices[0] != 0 or first.stage_with_rfp[0] or following.stage_with_rfp[0]:
            return False
        starts = [nn.ModuleList(backbone.stem_and_stage_1()) for backbone in (first, following)]
        if any(map(varies, starts)):
            return False
        if first is following:
            return True
        if torch.is_grad_enabled() and any(
            p.requires_grad for start in starts for p in start.parameters()
        ):
            return False
        return self._equal(id(following), *starts)

    def _equal(self, key: int, a: nn.Module, b: nn.Module) -> bool:
        tensors = [t for start in (a, b) for t in (*start.parameters(), *start.buffers())]
        if any(t.is_inference() for t in tensors):
            return equal(a, b)  # such tensors do not tell when they change
        kept = self._kept.setdefault(key, KeptTensors())
        return bool(kept.get(tensors, lambda: (torch.tensor(equal(a, b)),))[0])


def varies(module: nn.Module) -> bool:
    """Whether a call draws numbers or moves statistics."""
    return any(
        m.training and isinstance(m, (_BatchNorm, _InstanceNorm, _DropoutNd))
        for m in module.modules()
    )


def equal(a: nn.Module, b: nn.Module) -> bool:
    """Whether two modules have the same make, down to strides and padding, and the same weights."""
    ours, theirs = a.state_dict(), b.state_dict()
    return (
        repr(a) == repr(b)
        and ours.keys() == theirs.keys()
        and all(
            torch.equal(ours[key], theirs[key])
            for key in ours
            if not key.endswith("batches_tracked")
        )
    )
