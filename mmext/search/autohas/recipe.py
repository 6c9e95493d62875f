"""What a search leaves: ``best_recipe.py``, a config that trains, its numbers and a picture."""

import copy
import json
import pprint
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmext.search.autohas import picture
from mmext.search.autohas.controller import Controller
from mmext.search.autohas.finalists import Table
from mmext.search.reinforce import Draw

ROWS = 50
"""Of the curve, at most, in the config; autohas.json has all."""


@master_only
def write(
    runner: Runner, controller: Controller, winner: Draw, finalists: Table, iters: int
) -> None:
    """Write the three files into the work dir; the picture where matplotlib is.

    The config stands on the run's own, which the Runner has saved beside it: it changes the values
    that were found, puts the module that was chosen in place of each ``mmext.Choice``, and trains
    by mmengine's loop.

    Args:
        runner: of the run.
        controller: as it is at the end.
        winner: what is written as values.
        finalists: rows of the finalists, none if there were none.
        iters: updates that the shared weights got, and that the recipe trains for.
    """
    folder, config = Path(runner.work_dir), runner.cfg.to_dict()
    found = report(controller, winner, finalists)
    (folder / "autohas.json").write_text(json.dumps(found, indent=1, default=repr) + "\n")
    interval = (config.get("train_cfg") or {}).get("val_interval") or iters
    train_cfg = dict(
        _delete_=True,
        type="IterBasedTrainLoop",
        max_iters=iters,
        val_interval=min(interval, iters),
    )
    delta = changes(config, controller.values(winner))
    every = -(-len(found["curve"]) // ROWS) or 1
    parts = {
        "_base_": [f"./{saved_name(runner)}"],
        "train_cfg": train_cfg,
        **delta,
        "autohas": dict(found, curve=_rounded(found["curve"][::every])),
    }
    lines = [
        f"{key} = {pprint.pformat(value, width=100, sort_dicts=False)}\n"
        for key, value in parts.items()
    ]
    (folder / "best_recipe.py").write_text(_head(controller, winner, finalists) + "\n".join(lines))
    picture.draw(found, folder / "autohas.png")
    print_log(
        f"AutoHAS: {controller.values(winner)}, written to {folder / 'best_recipe.py'}",
        logger="current",
    )


def report(controller: Controller, winner: Draw, finalists: Table) -> dict[str, Any]:
    """All that was found, as plain data."""
    policy = controller.policy
    return dict(
        values=controller.values(winner),
        likeliest=controller.values(policy.mode()),
        mix=controller.mixed(),
        choices={one.name: list(one.choices) for one in controller.decisions},
        probabilities={name: policy.probabilities(name).tolist() for name in policy.logits},
        finalists=finalists,
        curve=controller.curve,
    )


def changes(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest config that makes these changes on top of another one.

    A list is given whole, since mmengine replaces lists. Where the config has an ``mmext.Choice``,
    the value is the number of the module that takes its place.

    Example:
        >>> config = dict(optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)))
        >>> changes(config, {"optim_wrapper.optimizer.lr": 1.0})
        {'optim_wrapper': {'optimizer': {'lr': 1.0}}}
    """
    whole = copy.deepcopy(dict(config))
    for key, value in values.items():
        _put(whole, key.split("."), value)
    delta: dict[str, Any] = {}
    for key in values:
        _join(delta, _path(whole, key.split(".")))
    return delta


def _put(node: Any, words: Sequence[str], value: Any) -> None:
    """Write into a nested config; what has no place there stays in ``autohas`` alone."""
    *way, last = words
    for word in way:
        if isinstance(node, list | tuple):
            node = node[int(word)]
        elif isinstance(node, dict):
            node = node.setdefault(word, {})
        else:
            return
    at: Any = int(last) if isinstance(node, list) else last
    old = node[at] if isinstance(node, list) else node.get(at)
    if isinstance(old, dict) and str(old.get("type", "")).endswith("Choice"):
        value = dict(_delete_=True, **old["choices"][value])
    node[at] = value


def _path(node: Any, words: Sequence[str]) -> Any:
    """The part of a config that a key lies in, as narrow as can be."""
    if not words or not isinstance(node, dict):
        return node
    return {words[0]: _path(node[words[0]], words[1:])}


def _join(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _join(into[key], value)
        else:
            into[key] = value


def saved_name(runner: Runner) -> str:
    """The file in the work dir in which the Runner has saved the config."""
    name = runner.cfg.filename
    return Path(name).name if name else f"{runner.timestamp}.py"


def _rounded(curve: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        dict(
            step=row["step"],
            reward=round(row["reward"], 4),
            probabilities={k: [round(p, 4) for p in v] for k, v in row["probabilities"].items()},
        )
        for row in curve
    ]


def _head(controller: Controller, winner: Draw, finalists: Table) -> str:
    """The docstring of the config: a line for each value, and one for each finalist."""
    lines = [f'"""Found by AutoHAS in {len(controller.curve)} steps.\n']
    mixed = controller.mixed()
    for one in controller.decisions:
        p = controller.policy.probabilities(one.name)
        value, i = one.choices[winner[one.name]], winner[one.name]
        mix = f", mix {mixed[one.name]:.4g}" if one.mix else ""
        lines.append(f"{one.name} = {value!r}: probability {p[i]:.3f}{mix}")
    for row in finalists:
        lines.append(f"finalist {row['values']}: validation loss {row['val_loss']:.4g}")
    text = "\n".join(lines).replace("\\", "\\\\")
    return f'{text}\n"""\n\n'
