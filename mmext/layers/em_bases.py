"""The bases of EM attention: found by expectation-maximisation, kept as a moving average.

Paper     EMANet, Li et al. 2019, https://arxiv.org/abs/1907.13426
Idea      Each place says which of K bases it is like (E), each base becomes the mean of its places
          (M); the map is rebuilt from the bases. A moving average over batches gives the bases to
          start from.
Host      none
Deviates  EM is float32 under autocast; bases move in place, between two steps and not within one.
Letters   B images, C channels, H W map, N = H * W places, K bases
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmext.functional import at_least_float32

UPDATES = ("mmseg", "official")
EPS = 1e-12


def expectation(
    x: Float[Tensor, "B N C"], bases: Float[Tensor, "B C K"], temperature: float = 1.0
) -> Float[Tensor, "B N K"]:
    """How much a place belongs to each base: ``softmax_k(x_n . mu_k / temperature)`` (Eq. 8, 9)."""
    # The bases are far fewer numbers than the logits.
    return (x @ (bases / temperature)).softmax(-1)


def maximization(x: Float[Tensor, "B N C"], z: Float[Tensor, "B N K"]) -> Float[Tensor, "B C K"]:
    """Each base as the mean of its places, of length 1 (Eq. 10 and the paper's section 3.3)."""
    # The mean's divisor goes on the bases, for the same reason.
    mean = x.transpose(1, 2) @ z / z.sum(1, keepdim=True).clamp_min(EPS)
    return F.normalize(mean, dim=1, eps=EPS)


def find_bases(
    x: Float[Tensor, "B N C"],
    start: Float[Tensor, "1 C K"],
    *,
    num_stages: int = 3,
    temperature: float = 1.0,
) -> tuple[Float[Tensor, "B C K"], Float[Tensor, "B N K"]]:
    """Run EM on each image from the same bases.

    Returns:
        The bases of each image, and what its places owed to the bases before the last M-step.
    """
    bases = start.expand(x.shape[0], -1, -1)
    for _ in range(num_stages):
        z = expectation(x, bases, temperature)
        bases = maximization(x, z)
    return bases, z


def reconstruct(bases: Float[Tensor, "B C K"], z: Float[Tensor, "B N K"]) -> Float[Tensor, "B C N"]:
    """The map as a mixture of its bases (Eq. 11)."""
    return bases @ z.transpose(1, 2)


def in_backward() -> bool:
    """Whether autograd is at work, as when activation checkpointing computes a forward again."""
    return torch._C._current_graph_task_id() != -1  # as torch.utils.checkpoint itself asks


class Passes:
    """Counts this process's backward passes: whether one has begun since tells steps apart."""

    asked = 0

    @classmethod
    def begun(cls) -> int:
        """How many have begun so far. Only differences mean something.

        Autograd numbers its passes and tells the number within a pass alone. So this runs one over
        a single number on the CPU, a fraction of a millisecond, and does not count those that it
        ran itself.
        """
        numbers: list[int] = []
        with torch.inference_mode(False), torch.enable_grad():
            probe = torch.zeros((), device="cpu", requires_grad=True)
            probe.register_hook(lambda _: numbers.append(torch._C._current_graph_task_id()))
            probe.backward()
        cls.asked += 1
        return numbers[0] - cls.asked


@dataclass
class Noted:
    """Where the images of a step want the bases."""

    packed: Tensor  # (1, C, K + 1): the sum of the images' bases, and their number in a last column
    in_backward: bool  # whether a forward in backward noted it, as with re-entrant checkpointing
    passes: int | None  # backward passes before it was noted; None where no backward is to come

    def is_past(self, passes: int) -> bool:
        """Whether after so many backward passes nothing of its step can be computed again."""
        return self.in_backward or self.passes is None or passes > self.passes


class EMBases(nn.Module):
    """The bases and their moving average; the map it gives has no gradient, as in the paper's code.

    A training forward only notes where its images' bases lie, averaged over the images of all
    ranks. The bases move when that is settled: at the first training forward after a backward pass
    has begun, when the mode changes, or when the state dict is asked for. So a forward that is
    computed again in backward sees the same bases, moves nothing twice, and a checkpoint holds what
    the run went on with. Forwards without gradients note nothing. Forwards before one backward,
    such as those of a backbone that two branches share, are one batch. Where gradients are
    accumulated each forward has a backward, and so is a batch of its own, as in mmseg.

    With several ranks every rank must run as many training forwards as the others.

    Args:
        channels: C.
        num_bases: K.
        num_stages: EM steps.
        momentum: weight of the new bases in the moving average.
        bases_update: ``mmseg`` gives the batch's mean length 1 before it is mixed in, ``official``
            does not.
        renorm_bases: give the moving average length 1 again; else it shrinks, as in both codes.
        temperature: divides the logits of the E-step.

    Raises:
        ValueError: a word or a number that makes no sense, or a map of other channels.
    """

    bases: Tensor

    def __init__(
        self,
        channels: int,
        num_bases: int = 64,
        num_stages: int = 3,
        momentum: float = 0.1,
        *,
        bases_update: str = "mmseg",
        renorm_bases: bool = False,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if bases_update not in UPDATES:
            raise ValueError(f"bases_update must be one of {UPDATES}, got {bases_update!r}")
        for name, value in dict(
            num_bases=num_bases, num_stages=num_stages, temperature=temperature
        ).items():
            if value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        self.num_stages, self.momentum, self.temperature = num_stages, momentum, temperature
        self.bases_update, self.renorm_bases = bases_update, renorm_bases
        bases = torch.randn(1, channels, num_bases) * math.sqrt(2 / num_bases)
        self.register_buffer("bases", F.normalize(bases, dim=1))
        self._noted: Noted | None = None
        self.register_state_dict_pre_hook(_settle_before_saving)

    def forward(
        self, x: Float[Tensor, "B C H W"], *, in_graph: bool = False
    ) -> Float[Tensor, "B C H W"]:
        """Rebuild the map from its bases.

        Args:
            x: the map.
            in_graph: whether a backward through what is made of the result is to come although
                ``x`` itself asks for no gradient.
        """
        if x.shape[1] != self.bases.shape[1]:
            raise ValueError(
                f"expected a map of {self.bases.shape[1]} channels, as many as the bases have, got "
                f"{x.shape[1]}; set the unit's channels to those of its input"
            )
        if self.training:
            return self._rebuild_and_note(x, in_graph or x.requires_grad)
        return self._rebuild(x)[0]

    @torch.no_grad()
    def _rebuild(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B C H W"], Tensor]:
        """The rebuilt map, and each image's bases."""
        with torch.autocast(x.device.type, enabled=False):
            places = at_least_float32(x).flatten(2).transpose(1, 2)
            start = self.bases.to(places.dtype)
            bases, z = find_bases(
                places, start, num_stages=self.num_stages, temperature=self.temperature
            )
            return reconstruct(bases, z).reshape(x.shape).to(x.dtype), bases

    @torch.compiler.disable
    def _rebuild_and_note(
        self, x: Float[Tensor, "B C H W"], in_graph: bool
    ) -> Float[Tensor, "B C H W"]:
        """The training forward.

        It asks autograd what no graph can hold, so a compiler calls it as it is.
        """
        passes = None if in_backward() else Passes.begun()
        if passes is not None and self._noted is not None and self._noted.is_past(passes):
            self.settle()
        rebuilt, bases = self._rebuild(x)
        if torch.is_grad_enabled():
            self._note(bases, passes if in_graph else None)
        return rebuilt

    @torch.no_grad()
    def _note(self, bases: Float[Tensor, "B C K"], passes: int | None) -> None:
        """Add the bases of these images, over all ranks, to what the step's other forwards noted.

        Not over all ranks in backward: there the ranks may be at different points, and must not
        wait for each other.
        """
        again = in_backward()
        if again and self._noted is not None and not self._noted.in_backward:
            return  # the forward of before, which has noted the same
        total = bases.sum(0, keepdim=True)
        packed = torch.cat([total, torch.full_like(total[..., :1], bases.shape[0])], 2)
        if not again:
            packed = of_all_ranks(packed)
        if self._noted is not None:
            packed = packed + self._noted.packed
        self._noted = Noted(packed, again, passes)

    @torch.compiler.disable
    @torch.no_grad()
    def settle(self) -> None:
        """Move the bases to where the last step's forwards want them; all ranks must call it."""
        if self._noted is None:
            return
        packed = of_all_ranks(self._noted.packed) if self._noted.in_backward else self._noted.packed
        self._noted = None
        mean = packed[..., :-1] / packed[..., -1:]
        if self.bases_update == "mmseg":
            mean = F.normalize(mean, dim=1)
        self.bases.lerp_(mean.to(self.bases.dtype), self.momentum)
        if self.renorm_bases:
            self.bases.copy_(F.normalize(self.bases, dim=1))

    def settle_alone(self) -> None:
        """Settle if that needs no other rank."""
        if world_size() == 1 or self._noted is None or not self._noted.in_backward:
            self.settle()

    def train(self, mode: bool = True) -> "EMBases":
        """Switch the mode; a change of it settles where the bases are."""
        if mode != self.training:
            self.settle_alone()
        return super().train(mode)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        loaded = state_dict.get(f"{prefix}bases")
        if loaded is not None:
            if loaded.shape != self.bases.shape:
                raise ValueError(
                    f"{prefix}bases: expected {tuple(self.bases.shape)} (1, channels, num_bases), "
                    f"got {tuple(loaded.shape)}; set the channels and num_bases of the checkpoint "
                    "in the config"
                )
            self._noted = None  # of a run that this is not
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def extra_repr(self) -> str:
        """Show arguments when printed."""
        _, channels, num_bases = self.bases.shape
        return (
            f"{channels}, num_bases={num_bases}, num_stages={self.num_stages}, "
            f"momentum={self.momentum}"
        )


def _settle_before_saving(module: EMBases, *_: Any) -> None:
    # One rank alone may be saving. With re-entrant checkpointing and several ranks the last step's
    # bases are each rank's own until the next forward, and so are left out of the file.
    module.settle_alone()


def world_size() -> int:
    """Ranks; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def of_all_ranks(packed: Tensor) -> Tensor:
    """The sum over the ranks."""
    if world_size() > 1:
        dist.all_reduce(packed)
    return packed
