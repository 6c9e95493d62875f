"""The table that a search asks instead of training: every small net of a grid, trained once.

    python -m dev.evidence.search.table        train all (minutes), write docs/evidence/
                                               search_table.json; nothing is done if it is there

Data     scikit-learn's digits, shuffled once: 500 for training, 600 for validation, 697 for test
Nets     fully connected with ReLU; all recipes of one size are trained together, as weights with
         leading axes, from the same start and with the same batches in the same order
Numbers  right answers of each net and seed after 1, 2, 4, 8 and 16 epochs, validation and test
Letters  S seeds, R recipes of a size, B pictures, E epochs at which is counted
"""

import gzip
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dev.evidence.provenance import ROOT, read_machine
from dev.evidence.results import RESULTS
from mmext.prepare import digits

TABLE = ROOT / RESULTS / "search_table.json"
GRID: dict[str, tuple[Any, ...]] = dict(
    depth=(1, 2, 3),
    width=(8, 16, 32, 64),
    lr=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    momentum=(0.0, 0.9),
    smoothing=(0.0, 0.1),
)
"""What a search may choose: two numbers of the architecture, three of the recipe."""
ARCHITECTURE = ("depth", "width")
SEEDS = (0, 1)
EPOCHS = (1, 2, 4, 8, 16)
BATCH = 50
TRAIN, VAL = 500, 600
SHUFFLED_BY = 0

Layers = Sequence[tuple[Tensor, ...]]
"""Weights and biases of all nets of a size."""


class Recipe(NamedTuple):
    """How a net is trained."""

    lr: float
    momentum: float
    smoothing: float


class Digits(NamedTuple):
    """Pictures and labels of each split."""

    train: tuple[Tensor, Tensor]
    val: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def read_digits(root: Path = ROOT / digits.ROOT) -> Digits:
    """The three splits; pictures are rows of 64 numbers from -1 to 1."""
    digits.prepare(root)
    with gzip.open(root / "digits.csv.gz", "rt") as file:
        rows = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.float32))
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(SHUFFLED_BY))]
    pictures, labels = rows[:, :-1] / 8 - 1, rows[:, -1].long()
    parts = zip(
        pictures.tensor_split((TRAIN, TRAIN + VAL)),
        labels.tensor_split((TRAIN, TRAIN + VAL)),
        strict=True,
    )
    return Digits(*parts)


def start(sizes: Sequence[int], seed: int) -> list[tuple[Tensor, Tensor]]:
    """Weights (in, out) and biases (1, out) of each layer, drawn as PyTorch's Linear draws them."""
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for inner, outer in itertools.pairwise(sizes):
        drawn = torch.rand(inner + 1, outer, generator=generator) * 2 - 1
        drawn /= inner**0.5
        layers.append((drawn[:-1], drawn[-1:]))
    return layers


def hidden(layers: Layers, pictures: Tensor) -> Tensor:
    """What the last layer is given, (S, R, B, width), of all nets."""
    for weight, bias in layers[:-1]:
        pictures = torch.relu(pictures @ weight + bias)
    return pictures


def forward(layers: Layers, pictures: Tensor) -> Tensor:
    """Scores (S, R, B, 10) of all nets."""
    weight, bias = layers[-1]
    return hidden(layers, pictures) @ weight + bias


def right(layers: Layers, split: tuple[Tensor, Tensor]) -> Tensor:
    """Right answers (S, R) of all nets; one that has become NaN says 0 to everything."""
    pictures, labels = split
    with torch.no_grad():
        scores = forward(layers, pictures)
    answers = torch.where(scores.isfinite().all(-1), scores.argmax(-1), 0)
    return (answers == labels).sum(-1)


def trained(
    depth: int,
    width: int,
    recipes: Sequence[Recipe],
    data: Digits,
    *,
    seeds: Sequence[int] = SEEDS,
    epochs: Sequence[int] = EPOCHS,
) -> Iterator[Layers]:
    """Train nets of one size by each recipe from each seed; gives their weights (S, R, in, out).

    They are given after each of these epochs, of which 0 is the start, and change afterwards.
    """
    starts = [start([64, *[width] * depth, 10], seed) for seed in seeds]
    layers = [
        tuple(
            torch.stack(one)[:, None].repeat(1, len(recipes), 1, 1).requires_grad_()
            for one in zip(*same, strict=True)
        )
        for same in zip(*starts, strict=True)
    ]
    params = [one for layer in layers for one in layer]  # (S, R, in or 1, out)
    velocity = [torch.zeros_like(one) for one in params]
    lr, momentum, smoothing = torch.tensor(recipes).T[..., None, None].contiguous()
    orders = [torch.Generator().manual_seed(1000 + seed) for seed in seeds]
    if 0 in epochs:
        yield layers
    for epoch in range(1, max(epochs) + 1):
        order = torch.stack([torch.randperm(TRAIN, generator=one) for one in orders])
        for batch in order.split(BATCH, dim=1):
            pictures, labels = (one[batch] for one in data.train)  # (S, B, 64), (S, B)
            log_p = F.log_softmax(forward(layers, pictures[:, None]), dim=-1)
            chosen = labels[:, None, :, None].expand(*log_p.shape[:-1], 1)
            likely, spread = log_p.gather(-1, chosen), log_p.mean(-1, keepdim=True)
            loss = -((1 - smoothing) * likely + smoothing * spread).mean(2).sum()
            for one, v, slope in zip(
                params, velocity, torch.autograd.grad(loss, params), strict=True
            ):
                v.mul_(momentum).add_(slope)
                one.data.sub_(lr * v)
        if epoch in epochs:
            yield layers


def train(
    depth: int, width: int, recipes: Sequence[Recipe], data: Digits, **options: Sequence[int]
) -> dict[str, np.ndarray]:
    """Train nets of one size; returns right answers (R, S, E) by split. Options as there."""
    counted: dict[str, list[Tensor]] = dict(val=[], test=[])
    for layers in trained(depth, width, recipes, data, **options):
        for split in counted:
            counted[split].append(right(layers, getattr(data, split)))
    return {split: torch.stack(one, -1).transpose(0, 1).numpy() for split, one in counted.items()}


def recipes_of_grid() -> list[Recipe]:
    """Every recipe, in the grid's order."""
    return [Recipe(*one) for one in itertools.product(*list(GRID.values())[2:])]


def name_of(net: Sequence[Any]) -> str:
    """A net's line in the table.

    Example:
        >>> name_of((1, 8, 0.001, 0.0, 0.1))
        'depth=1 width=8 lr=0.001 momentum=0.0 smoothing=0.1'
    """
    return " ".join(f"{key}={value}" for key, value in zip(GRID, net, strict=True))


def make(depths: Sequence[int] = GRID["depth"], widths: Sequence[int] = GRID["width"]) -> dict:
    """Train all nets of these sizes; returns each one's right answers by split, seed and epoch."""
    data = read_digits()
    recipes, nets = recipes_of_grid(), {}
    for depth, width in itertools.product(depths, widths):
        found = train(depth, width, recipes, data)
        for i, recipe in enumerate(recipes):
            one = {split: counts[i].tolist() for split, counts in found.items()}
            nets[name_of((depth, width, *recipe))] = one
        print(
            f"depth {depth}, width {width}: {len(recipes)} nets of {len(SEEDS)} seeds", flush=True
        )
    return nets


def design() -> dict[str, Any]:
    """What the table is made by; a file of another design is another table."""
    return dict(
        grid=GRID,
        seeds=SEEDS,
        epochs=EPOCHS,
        batch_size=BATCH,
        train=TRAIN,
        val=VAL,
        test=1797 - TRAIN - VAL,
        optimiser="SGD, the same rate throughout",
    )


def write(path: Path, nets: dict, seconds: float) -> None:
    """One line a net, so that the file can be read and compared."""
    head = dict(
        command="python -m dev.evidence.search.table",
        design=design(),
        machine=read_machine(),
        seconds=round(seconds),
    )
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(one)}" for name, one in nets.items())
    new = path.with_name(f"{path.name}.new")
    new.write_text(f'{json.dumps(head, indent=1)[:-2]},\n "nets": {{\n{lines}\n }}\n}}\n')
    os.replace(new, path)


if __name__ == "__main__":
    if TABLE.exists():
        print(f"{TABLE} is there; remove it to train its nets anew")
    else:
        torch.set_num_threads(1)
        began = time.perf_counter()
        write(TABLE, make(), time.perf_counter() - began)
