"""Many small nets trained at once: a matrix product for all, each with its own start and digits."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mmext.self_training.pseudo_labels import joint_loss, loss_ratio, updated_means

WIDTHS = (64, 128, 10)
RATE, WARM_UP, DECAY = 3e-3, 20, 0.9997
SIDE = 8
STRENGTHS = {  # rotation in degrees, share of the scale, pixels of shift, gain, noise
    "none": None,
    "S1": (10.0, 0.1, 1.0, 0.0, 0.0),
    "S4": (20.0, 0.25, 1.0, 0.3, 0.1),
}


class Nets:
    """S nets of two layers.

    Args:
        seeds: of their starts, one a net.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        drawn = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.weights = [
            torch.stack([torch.randn(one, two, generator=rng) for rng in drawn])
            .mul_(math.sqrt(2 / one))
            .requires_grad_()
            for one, two in itertools.pairwise(WIDTHS)
        ]
        self.biases = [torch.zeros(len(seeds), 1, two, requires_grad=True) for two in WIDTHS[1:]]

    def logits(self, inputs: Float[Tensor, "S B 64"]) -> Float[Tensor, "S B 10"]:
        """Of each net for its own digits."""
        layers = list(zip(self.weights, self.biases, strict=True))
        for weight, bias in layers[:-1]:
            inputs = torch.baddbmm(bias, inputs, weight).relu()
        return torch.baddbmm(layers[-1][1], inputs, layers[-1][0])

    @torch.no_grad()
    def probabilities(self, inputs: Float[Tensor, "N 64"]) -> Float[Tensor, "S N 10"]:
        """Of each net for the same digits."""
        return self.logits(inputs.expand(len(self.weights[0]), -1, -1)).softmax(-1)

    def accuracy(self, inputs: Float[Tensor, "N 64"], labels: Int[Tensor, " N"]) -> list[float]:
        """Of each net, in percent."""
        right = self.probabilities(inputs).argmax(-1) == labels
        return (100 * right.float().mean(1)).tolist()


class Stream:
    """Digits for half of each batch, permutation by permutation, moved at random.

    Args:
        rows: of the digits, for each net.
        targets: labels of all digits, for each net.
        stage: how strongly they are moved.
        seeds: of the orders, one a net.
        place: which half; each has its own orders and moves.
        size: digits a step.
    """

    def __init__(
        self,
        rows: Sequence[Int[np.ndarray, " n"]],
        targets: Int[Tensor, "S N"],
        stage: str,
        seeds: Sequence[int],
        place: int,
        size: int,
    ) -> None:
        self.rows, self.targets, self.stage, self.size = rows, targets, stage, size
        self.orders = [np.random.default_rng([seed, 1, place]) for seed in seeds]
        self.moves = torch.Generator().manual_seed(1000 * seeds[0] + place)

    def batches(
        self, inputs: Float[Tensor, "N 64"], steps: int
    ) -> Iterator[tuple[Float[Tensor, "S B 64"], Int[Tensor, "S B"]]]:
        """Of all nets, step by step."""
        wanted = steps * self.size
        drawn = np.stack(
            [
                np.concatenate([rng.permutation(own) for _ in range(-(-wanted // len(own)))])[
                    :wanted
                ]
                for rng, own in zip(self.orders, self.rows, strict=True)
            ]
        )
        for some in torch.as_tensor(drawn).split(self.size, dim=1):
            yield moved(inputs[some], self.stage, self.moves), self.targets.gather(1, some)


def moved(
    digits: Float[Tensor, "S B 64"], stage: str, rng: torch.Generator
) -> Float[Tensor, "S B 64"]:
    """Turned, scaled, shifted, brighter or darker, with noise; zeros come in at the borders."""
    strength = STRENGTHS[stage]
    if strength is None:
        return digits
    turn, scale, shift, gain, noise = strength
    number = digits.shape[0] * digits.shape[1]

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(number, *shape, generator=rng) - 1

    angle, factor = uniform() * math.radians(turn), 1 + scale * uniform()
    cosine, sine = angle.cos() * factor, angle.sin() * factor
    turned = torch.stack([cosine, -sine, sine, cosine], 1).view(-1, 2, 2)
    theta = torch.cat([turned, uniform(2, 1) * shift * 2 / SIDE], 2)
    grid = F.affine_grid(theta, [number, 1, SIDE, SIDE], align_corners=False)
    found = F.grid_sample(digits.reshape(-1, 1, SIDE, SIDE), grid, align_corners=False).flatten(1)
    found = found * (1 + gain * uniform(1))
    found = found + noise * torch.randn(found.shape, generator=rng) if noise else found
    return found.view(digits.shape)


def train(
    nets: Nets, inputs: Float[Tensor, "N 64"], halves: Sequence[Stream], steps: int, *, joint: bool
) -> None:
    """Adam, cosine to zero.

    Args:
        nets: changed in place.
        inputs: all digits.
        halves: of each batch; the first has people's labels.
        steps: to take.
        joint: whether the halves' losses are joined as a student's; else as one batch.
    """
    optimizer = torch.optim.Adam([*nets.weights, *nets.biases], lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2,
    )
    means = [torch.zeros(2, len(nets.weights[0])) for _ in range(2)]
    for both in zip(*(half.batches(inputs, steps) for half in halves), strict=True):
        losses = torch.stack([loss_of(nets, *half) for half in both])  # (2, S)
        total = losses.mean(0)
        if joint:
            total, *means = joined(losses, *means)
        optimizer.zero_grad()
        total.sum().backward()  # each net's weights have a gradient from its own loss alone
        optimizer.step()
        schedule.step()


def loss_of(
    nets: Nets, digits: Float[Tensor, "S B 64"], labels: Int[Tensor, "S B"]
) -> Float[Tensor, " S"]:
    """Mean cross-entropy of each net."""
    logits = nets.logits(digits)
    return F.cross_entropy(logits.movedim(-1, 1), labels, reduction="none").mean(1)


def joined(
    losses: Float[Tensor, "2 S"], sums: Float[Tensor, "2 S"], weights: Float[Tensor, "2 S"]
) -> tuple[Float[Tensor, " S"], Float[Tensor, "2 S"], Float[Tensor, "2 S"]]:
    """The wrapper's loss of each net, and its running sums after this step."""

    def one(losses: Tensor, sums: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = torch.ones(2, dtype=torch.bool)
        sums, weights = updated_means(sums, weights, losses.detach(), seen, decay=DECAY)
        human, pseudo = losses
        return joint_loss(human, pseudo, loss_ratio(sums, weights), alpha=1.0), sums, weights

    return torch.vmap(one, in_dims=1, out_dims=(0, 1, 1))(losses, sums, weights)
