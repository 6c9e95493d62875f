"""Many small nets trained side by side, which is how folds and seeds are tried in seconds."""

import itertools
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmext.classification.real_labels import folds_of
from mmext.classification.stack.noise import noisy_labels

BATCH = 32


def nets(number: int, sizes: tuple[int, ...], seed: int) -> list[Tensor]:
    """Weights and biases of so many nets of linear layers, along their first axis."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        bound = fan_in**-0.5
        found.append(bound * (2 * torch.rand(number, fan_in, fan_out, generator=g) - 1))
        found.append(torch.zeros(number, 1, fan_out))
    return [one.requires_grad_() for one in found]


def logits(weights: list[Tensor], x: Tensor) -> Tensor:
    """Of each net for its own pictures (nets, B, pixels)."""
    for place in range(0, len(weights), 2):
        x = x @ weights[place] + weights[place + 1]
        x = x.relu() if place + 2 < len(weights) else x
    return x


def train(
    weights: list[Tensor],
    x: Tensor,
    y: Tensor,
    members: Tensor,
    *,
    steps: int,
    lr: float,
    seed: int,
) -> None:
    """SGD with momentum and a cosine, each net on its own members (nets, N) of the pictures."""
    g = torch.Generator().manual_seed(seed)
    sgd = torch.optim.SGD(weights, lr=lr, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, steps)
    for _ in range(steps):
        chosen = members.float().multinomial(BATCH, generator=g)
        scores = logits(weights, x[chosen]).flatten(0, 1)
        loss = F.cross_entropy(scores, y[chosen].flatten(), reduction="sum") / BATCH
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        schedule.step()


class Task(NamedTuple):
    """Pictures (N, pixels) about zero, labels of which some are wrong, and which."""

    x: Tensor
    labels: np.ndarray
    wrong: np.ndarray


def noisy(pictures: np.ndarray, true: np.ndarray, *, number: int, rate: float, seed: int) -> Task:
    """So many pictures, drawn by the seed, with a share of their labels replaced."""
    chosen = np.random.default_rng(seed).permutation(len(true))[:number]
    labels = noisy_labels(true[chosen], 10, rate=rate, seed=seed)
    return Task(standard(pictures[chosen]), labels, labels != true[chosen])


def standard(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures.astype(np.float32)).flatten(1) / 128 - 0.6


def out_of_fold(
    task: Task, widths: tuple[int, ...], *, folds: int, steps: int, lr: float, seed: int
) -> np.ndarray:
    """Scores of each picture by a net of the other folds."""
    fold = folds_of(task.labels, folds, seed)
    members = torch.from_numpy(fold != np.arange(folds)[:, None])
    weights = nets(folds, (task.x.shape[1], *widths, 10), seed)
    train(weights, task.x, torch.from_numpy(task.labels), members, steps=steps, lr=lr, seed=seed)
    with torch.no_grad():
        scores = logits(weights, task.x.expand(folds, -1, -1)).softmax(-1).numpy()
    return scores[fold, np.arange(len(fold))]


def errors(
    task: Task, members: np.ndarray, test: tuple[Tensor, Tensor], widths: tuple[int, ...], **how
) -> list[float]:
    """Percent of test errors of nets that begin alike, each trained on its own members."""
    weights = nets(1, (task.x.shape[1], *widths, 10), how["seed"])
    weights = [one.detach().repeat(len(members), 1, 1).requires_grad_() for one in weights]
    train(weights, task.x, torch.from_numpy(task.labels), torch.from_numpy(members), **how)
    with torch.no_grad():
        answers = logits(weights, test[0].expand(len(members), -1, -1)).argmax(-1)
    return (100 * (answers != test[1]).float().mean(1)).tolist()
