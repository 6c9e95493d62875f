"""The mathematics of sample weights and the small network that predicts them.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Idea      ``exp(-m) * L + lambda * m`` per sample: a Gaussian likelihood with log variance m.
Host      none: torch alone
Letters   N samples, P positives, M negatives, m a log variance, w = exp(-m) a weight
"""

from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmext.functional import at_least_float32

WIDTHS = {"iou": 1, "prob": 1, "cls": 1, "box": 4, "mask": 1}
"""What the network can look at, and how many numbers a sample each is.

IoU of the decoded prediction with its ground truth; predicted probability of the true class;
classification loss; box loss of each coordinate; mean mask loss. Of a negative only the
classification loss is not 0.
"""
KEPT = 2**14  # samples up to which a step keeps their hidden layers for backward, 8 MB
# Samples at once beyond that; a dense head has hundreds of thousands.
BLOCK = {"cpu": 2**16, "other": 2**18}
INITS = ("zero_last", "official")
CLAMP_MODES = ("hard", "inward", "tanh")


class _InwardClamp(torch.autograd.Function):
    """A clamp whose gradient passes outside the range too where descending it leads back inside."""

    @staticmethod
    def forward(ctx: Any, m: Tensor, low: int | float, high: int | float) -> Tensor:
        ctx.save_for_backward(m)
        ctx.range = low, high
        return m.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        (m,), (grad,) = ctx.saved_tensors, grads
        low, high = ctx.range
        outwards = ((m <= low) & (grad > 0)) | ((m >= high) & (grad < 0))
        return grad.masked_fill(outwards, 0), None, None


def clamp_log_variance(
    m: Float[Tensor, "..."], low: int | float, high: int | float, *, mode: str = "hard"
) -> Float[Tensor, "..."]:
    """Keep log variances within ``[low, high]``, so weights lie in ``[exp(-high), exp(-low)]``.

    Args:
        m: log variances.
        low: least value.
        high: greatest value, at least ``low``.
        mode: ``hard`` has no gradient outside, as the authors' code, so a value may stay there for
            long; ``inward`` lets those gradients pass that lead back; ``tanh`` bends smoothly.

    Example:
        >>> clamp_log_variance(torch.tensor([-3.0, 0.5, 9.0]), -2, 2)
        tensor([-2.0000,  0.5000,  2.0000])
    """
    if mode == "inward":
        return _InwardClamp.apply(m, low, high)
    if mode == "tanh" and high > low:
        middle, half = (high + low) / 2, (high - low) / 2
        return middle + half * torch.tanh((m - middle) / half)
    return m.clamp(low, high)


def optimal_log_variance(
    loss: Float[Tensor, "..."],
    *,
    lam: Tensor | int | float,
    divisor: Tensor | int | float,
    count: Tensor | int | float,
) -> Float[Tensor, "..."]:
    """The m that minimises ``exp(-m) * loss / divisor + lam * m / count``.

    This is what the network converges to. Its weights ``lam * divisor / (count * loss)`` invert the
    loss.

    Args:
        loss: loss of a sample, or of a group of samples that share a weight; at least 0.
        lam: lambda, the weight of the regulariser; above 0.
        divisor: what the host divides the sum of losses by.
        count: over how many samples the regulariser is averaged; 1 for a group.

    Returns:
        Log variances; minus infinity for a loss of 0, which a clamp makes finite.

    Example:
        >>> optimal_log_variance(torch.tensor([0.5, 1.0]), lam=0.5, divisor=4, count=4).exp()
        tensor([1., 2.])
    """
    return torch.log(at_least_float32(loss) * count / (lam * divisor))


def _own_randomness() -> AbstractContextManager:
    """Leave no trace in random numbers: with and without the network a detector starts alike."""
    return torch.random.fork_rng(devices=[])


def _embedding(width: int, embed: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, embed), nn.ReLU(), nn.Linear(embed, embed), nn.ReLU())


class SWNPredictor(nn.Module):
    """From what is known of a sample to its log variances.

    Each input passes two layers of its own; a last pair of layers reads all of them.

    Args:
        inputs: which of ``iou``, ``prob``, ``cls``, ``box``, ``mask`` it looks at.
        num_outputs: number of log variances, 2 (classification, box) or 3 (mask).
        embed: width of every hidden layer.
        init: ``zero_last`` starts with every m at 0 (weights 1) and trains with any optimiser.
            ``official`` draws all weights from N(0, 1e-4): m starts at 0 too, but SGD at a
            detector's rate then learns one number for all samples; the authors use Adam.

    Raises:
        ValueError: an unknown input or ``init``.
    """

    def __init__(
        self,
        inputs: tuple[str, ...] | list[str] = ("iou", "prob", "cls", "box"),
        num_outputs: int = 2,
        embed: int = 64,
        init: str = "zero_last",
    ) -> None:
        super().__init__()
        if not inputs or not set(inputs) <= set(WIDTHS):
            raise ValueError(f"inputs must be some of {tuple(WIDTHS)}, got {tuple(inputs)}")
        if init not in INITS:
            raise ValueError(f"init must be one of {INITS}, got {init!r}")
        self.inputs = tuple(inputs)
        self.init = init
        with _own_randomness():
            self.embeddings = nn.ModuleDict(
                {name: _embedding(WIDTHS[name], embed) for name in inputs}
            )
            self.fuse = nn.Linear(len(inputs) * embed, embed)
            self.last = nn.Linear(embed, num_outputs)
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the start again; hosts call it on every module that has it."""
        linears = [layer for layer in self.modules() if isinstance(layer, nn.Linear)]
        with _own_randomness():
            self._draw(linears)

    def _draw(self, linears: list[nn.Linear]) -> None:
        for layer in linears:
            layer.reset_parameters()
        if self.init == "official":
            for layer in linears:
                nn.init.normal_(layer.weight, std=1e-4)
                nn.init.zeros_(layer.bias)
        else:
            # DEVIATION: the authors' start. Seen here: with SGD at rate 0.02 it never tells samples
            # apart.
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)

    def forward(
        self, features: dict[str, Tensor], cls_loss: Float[Tensor, " N"]
    ) -> tuple[Float[Tensor, "P O"], Float[Tensor, " N"]]:
        """Log variances of samples with everything known of them, and of others' classification.

        What a negative's zeros give is the same for all, so they pass as one row behind those of
        the positives; only the classification loss has a row for each sample.

        Args:
            features: of the positives, each (P, width).
            cls_loss: of all samples.

        Returns:
            All log variances of the positives, and that of the classification of each sample, taken
            as one of which only the classification loss is not 0.
        """
        rows = {name: F.pad(features[name], (0, 0, 0, 1)) for name in self.inputs}  # (P + 1, width)
        embedded = {name: self.embeddings[name](x) for name, x in rows.items()}
        hidden = self.fuse(torch.cat(list(embedded.values()), 1))  # (P + 1, E)
        of_zeros, cls_of_zero = hidden[-1:], embedded["cls"][-1:] if "cls" in embedded else None
        return self.last(F.relu(hidden[:-1])), self._by_blocks(cls_loss, of_zeros, cls_of_zero)

    def _by_blocks(self, cls_loss: Tensor, of_zeros: Tensor, cls_of_zero: Tensor | None) -> Tensor:
        """:meth:`_of_loss` for any number of samples: many are recomputed in backward, not kept."""
        if len(cls_loss) <= KEPT:
            return self._of_loss(cls_loss, of_zeros, cls_of_zero)
        again = partial(checkpoint, self._of_loss, use_reentrant=False, preserve_rng_state=False)
        size = BLOCK["cpu" if cls_loss.device.type == "cpu" else "other"]
        return torch.cat([again(block, of_zeros, cls_of_zero) for block in cls_loss.split(size)])

    def _of_loss(
        self,
        cls_loss: Float[Tensor, " N"],
        of_zeros: Float[Tensor, "1 E"],
        cls_of_zero: Tensor | None,
    ) -> Float[Tensor, " N"]:
        """Log variance of classification where all but that loss is 0, from what zeros give."""
        hidden = of_zeros.expand(len(cls_loss), -1)
        if cls_of_zero is not None:
            block = self.fuse.weight.chunk(len(self.inputs), 1)[self.inputs.index("cls")]
            of_others = of_zeros - F.linear(cls_of_zero, block)
            hidden = F.linear(
                self.embeddings["cls"](cls_loss[:, None]), block, of_others.squeeze(0)
            )
        return F.linear(F.relu(hidden), self.last.weight[:1], self.last.bias[:1]).squeeze(1)
