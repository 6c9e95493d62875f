"""Many small nets trained side by side, which is how folds and seeds are tried in seconds."""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmext.classification.real_labels import folds_of
from mmext.classification.stack.noise import noisy_labels
from mmext.data_checks.class_files import read_digits


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


def train(weights: list[Tensor], x: Tensor, y: Tensor, rows: Tensor, *, epochs: int, seed: int):
    """SGD with momentum and a cosine, each net on its own rows (nets, M) of the same pictures."""
    g = torch.Generator().manual_seed(seed)
    batch, count = 32, rows.shape[1]
    steps = epochs * (count // batch)
    sgd = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, steps)
    for _ in range(epochs):
        order = torch.rand(rows.shape, generator=g).argsort(1)
        for start in range(0, count - batch + 1, batch):
            chosen = rows.gather(1, order[:, start : start + batch])
            loss = F.cross_entropy(
                logits(weights, x[chosen]).flatten(0, 1), y[chosen].flatten(), reduction="sum"
            )
            sgd.zero_grad()
            (loss / batch).backward()
            sgd.step()
            schedule.step()


def out_of_fold(file, *, number: int, rate: float, folds: int, seed: int, epochs: int = 12):
    """Scores of digits by nets of the other folds, their labels, and which labels were replaced."""
    pictures, true = read_digits(str(file))
    chosen = np.random.default_rng(seed).permutation(len(true))[:number]
    labels = noisy_labels(true[chosen], 10, rate=rate, seed=seed)
    x = torch.from_numpy(pictures[chosen]).float().flatten(1) / 128 - 0.6
    fold = folds_of(labels, folds, seed)
    rows = torch.stack([torch.from_numpy(np.flatnonzero(fold != one)) for one in range(folds)])
    weights = nets(folds, (64, 64, 10), seed)
    train(weights, x, torch.from_numpy(labels), rows, epochs=epochs, seed=seed)
    with torch.no_grad():
        scores = logits(weights, x.expand(folds, -1, -1)).softmax(-1).numpy()
    return scores[fold, np.arange(number)], labels, labels != true[chosen]
