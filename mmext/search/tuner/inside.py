"""What needs mmengine and torch, in a process of its own: ``python -m mmext.search.tuner.inside``.

The search itself imports neither. Results are written as literals of Python, since JSON knows no
tuples.
"""

import argparse
import copy
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import MODELS
from mmengine.runner import Runner

from mmext import measure
from mmext.engine import launch
from mmext.engine.config import find_config, load_config
from mmext.errors import BadInputError
from mmext.search.tuner.changes import OPAQUE

RUNS = 10  # of which the latency is the median


def plain(value: Any) -> Any:
    """The value, made of what a literal can show; the rest becomes marked text."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value)) if type(value) in (list, tuple) else list(value)
    finite = not isinstance(value, float) or math.isfinite(value)
    if finite and (value is None or type(value) in (bool, int, float, str)):
        return value
    return f"{OPAQUE}{value!r}"


def resolve(args: argparse.Namespace) -> dict[str, Any]:
    """A config and what it says of a search; its data and types are checked."""
    file = find_config(args.config)
    bare = load_config(file)
    options = args.cfg_options or {}
    cfg = load_config(file, options)
    if not cfg.get("val_evaluator") or not cfg.get("val_dataloader"):
        raise BadInputError(
            f"{file}: expected val_dataloader and val_evaluator, by which trials are judged, got "
            "none; add them"
        )
    search = dict(cfg.get("search") or {})
    if args.search_file:
        search = dict(load_config(args.search_file).get("search") or {})
    if args.verify:
        launch.check_inputs(cfg, ("train", "val"))
    base = str(Path(file).resolve())
    if Config._is_lazy_import(file):  # no text config can stand on one
        base = str((args.out.parent / "base_config.py").resolve())
        bare.dump(base)
    hook = (cfg.get("default_hooks") or {}).get("checkpoint") or {}
    return {
        "base": base,
        "cfg": plain(cfg.to_dict()),
        "bare": plain(bare.to_dict()),
        "options": plain(dict(options)),
        "search": plain(search),
        "save_best": plain(hook.get("save_best")),
        "rule": plain(hook.get("rule")),
    }


def cost(args: argparse.Namespace) -> dict[str, float]:
    """What the model of a config costs for one sample of its validation data."""
    cfg = load_config(args.config)
    return costs_of(cfg, args.names, lambda: sample_of(cfg.val_dataloader))


def costs_of(cfg: Config, names: Iterable[str], sample: Callable[[], Any]) -> dict[str, float]:
    """Build a model and measure it.

    Args:
        cfg: its config.
        names: ``params``, ``macs``, ``flops``, ``latency``.
        sample: a batch of one, asked for where the model has to run.
    """
    model = MODELS.build(cfg.model).eval()
    found = {"params": float(sum(one.numel() for one in model.parameters()))}
    if set(names) - {"params"}:
        if torch.cuda.is_available():
            model = model.cuda()
        batch = sample()
        with torch.no_grad():
            found["flops"] = float(measure.flops(lambda: model.val_step(batch)))
            found["macs"] = found["flops"] / 2
            if "latency" in names:
                found["latency"] = statistics.median(_seconds(model, batch) for _ in range(RUNS))
    return found


def sample_of(dataloader: Mapping[str, Any]) -> Any:
    """A batch of one sample of validation."""
    loader = dict(dataloader, batch_size=1, num_workers=0, persistent_workers=False)
    loader.pop("prefetch_factor", None)
    return next(iter(Runner.build_dataloader(loader)))


def costs(args: argparse.Namespace) -> None:
    """Answer with the costs of each config whose path comes in, one line each.

    A model that cannot be built or run costs null.
    """
    samples: dict[str, Any] = {}

    def answer(path: str) -> dict[str, float] | None:
        try:
            cfg = load_config(path)
            loader = cfg.val_dataloader
            # Data sets take long to read, and models seldom differ in them.
            return costs_of(
                cfg, args.names, lambda: _once(samples, repr(loader), lambda: sample_of(loader))
            )
        except Exception as error:
            print(f"{path}: {type(error).__name__}: {error}", flush=True)
            return None

    with args.out.open("w") as out:
        print("ready", file=out, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(line.strip())), file=out, flush=True)


def _once(made: dict[str, Any], name: str, make: Callable[[], Any]) -> Any:
    """What was made of a name; a copy, since models may change it."""
    if name not in made:
        made[name] = make()
    return copy.deepcopy(made[name])


def _seconds(model: Any, sample: Any) -> float:
    begun = time.perf_counter()
    model.val_step(sample)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def same(args: argparse.Namespace) -> bool:
    """Whether two config files resolve to the same, but for ``search``."""
    one, two = (load_config(file).to_dict() for file in (args.config, args.other))
    return {k: v for k, v in one.items() if k != "search"} == {
        k: v for k, v in two.items() if k != "search"
    }


def parse_args() -> argparse.Namespace:
    """Parse the words of the parent."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("resolve", "cost", "costs", "same"))
    parser.add_argument("config")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    parser.add_argument("--search-file")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--names", nargs="*", default=())
    parser.add_argument("--other")
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    """Do it, and write what came out."""
    if args.what == "costs":
        costs(args)
        return
    result = {"resolve": resolve, "cost": cost, "same": same}[args.what](args)
    args.out.write_text(repr(result), encoding="utf-8")


if __name__ == "__main__":
    launch.run(run, parse_args())
