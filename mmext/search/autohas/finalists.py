"""The last question: which of the likeliest combinations is best when it is trained to the end."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mmengine import dist
from mmengine.logging import print_log

from mmext.search.autohas.batches import without_augments
from mmext.search.autohas.trial import seed_all, train, validation_loss, values_set
from mmext.search.reinforce import Draw

if TYPE_CHECKING:  # the loop asks this module
    from mmext.search.autohas.search_loop import SearchLoop

FIRST_WEIGHTS = "autohas_first_weights.pth"
Table = list[dict[str, Any]]


def keep_first_weights(loop: "SearchLoop") -> None:
    """Write the weights that the search begins with, from which finalists begin too."""
    if loop.finalists > 1 and loop.iter == 0 and dist.is_main_process():
        torch.save(loop.model.state_dict(), Path(loop.runner.work_dir) / FIRST_WEIGHTS)


def best_of(loop: "SearchLoop") -> tuple[Draw, Table]:
    """Train the likeliest combinations from the first weights, and name the best one.

    One step judges a value by what it gains at once, which favours rates below the best. Each
    finalist gets as many updates as the shared weights got, at constant values. The shared weights
    are there again afterwards.

    Returns:
        The winner, and a row for each finalist: ``values`` and the whole ``val_loss``. Without
        finalists, the likeliest combination and no rows.
    """
    draws = loop.controller.likeliest(max(1, loop.finalists))
    if len(draws) == 1:
        return draws[0], []
    table: Table = []
    loop.snapshot.take()
    for number, draw in enumerate(draws):
        values = loop.controller.values(draw)
        _start_again(loop)
        with values_set(loop.knobs, values):
            for step in range(loop.max_iters * loop.updates):
                _train_on_next(loop, number, step)
            loss = _whole_validation(loop)
        table.append(dict(values=values, val_loss=loss))
        print_log(f"finalist {values}: validation loss {loss:.4g}", logger="current")
    loop.snapshot.restore()
    losses = [row["val_loss"] if math.isfinite(row["val_loss"]) else math.inf for row in table]
    return draws[losses.index(min(losses))], table


def _start_again(loop: "SearchLoop") -> None:
    """The first weights, and an optimiser that has seen nothing; every rank has the same."""
    file = Path(loop.runner.work_dir) / FIRST_WEIGHTS
    if dist.is_main_process():
        loop.model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    for tensor in loop.model.state_dict().values():
        dist.broadcast(tensor)
    loop.runner.optim_wrapper.optimizer.state.clear()


def _train_on_next(loop: "SearchLoop", number: int, step: int) -> None:
    seed_all(loop.seed, number, step, 3)
    loop.model.train()
    data = loop.model.data_preprocessor(loop.next_batch(), True)
    train(loop.runner.model, loop.runner.optim_wrapper, [data])


def _whole_validation(loop: "SearchLoop") -> float:
    """Mean loss over the data of validation, and over ranks."""
    total = torch.zeros(2, dtype=torch.float64)
    preprocess = loop.model.data_preprocessor
    with _all_of(loop) as batches, without_augments(preprocess):
        for data in batches:
            ready = preprocess(data, True)
            loss = validation_loss(loop.runner.model, loop.runner.optim_wrapper, ready)
            size = len(data["inputs"]) if isinstance(data, dict) else 1
            total += torch.tensor([float(loss) * size, size], dtype=torch.float64)
    device = next(loop.model.parameters()).device
    total = total.to(device)
    dist.all_reduce(total)
    dist.broadcast(total)
    return float(total[0] / total[1])


@contextmanager
def _all_of(loop: "SearchLoop") -> Iterator[Any]:
    """Every batch of validation once."""
    config = dict(loop.val_config)
    config.update(
        sampler=dict(type="mmengine.DefaultSampler", shuffle=False), persistent_workers=False
    )
    yield loop.runner.build_dataloader(config, seed=loop.seed)
