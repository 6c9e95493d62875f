"""Find keys of a config that are misspelt: nothing would read them, and nothing would say so.

Top      a config may have variables of any name, so one is doubted only if it nearly is a key that
         is read
Options  what --cfg-options adds is meant to be read: it is doubted if nothing reads it, or if it
         stands beside a key of nearly the same name
"""

import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmengine.runner import Runner

READ = frozenset(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"} | {
    *(
        "activation_checkpointing",
        "compile",
        "cudnn_benchmark",
        "custom_imports",
        "efficient_conv_bn_eval",
    ),
    *(
        "find_unused_parameters",
        "model_wrapper_cfg",
        "runner_type",
        "sync_bn",
        "tta_model",
        "tta_pipeline",
    ),
    *("vis_backends", "strategy", "data_command", "weights_command", "verify", "search"),
    "unlabeled_dataloader",
}
"""Top-level keys that mmengine's Runner, the hosts' tools or mmext read."""

NEAR = 0.8
"""Share of letters in common, of difflib, from which a name is taken for a misspelt one."""

VARIABLES = ("_pipeline", "_dataset", "_set", "_root", "_file")
"""Ends of names that configs commonly give to variables."""
PIPELINE = "pipeline"
"""A variable as well, though its name is nearly tta_pipeline's."""


def doubtful(keys: Iterable[str]) -> Iterator[str]:
    """Say which top-level keys of a config are nearly one that is read.

    Example:
        >>> list(doubtful(["optim_wraper", "crop_size"]))
        ['optim_wraper: nothing reads this key of the config; did you mean optim_wrapper?']
    """
    keys = list(keys)
    for key in keys:
        near = difflib.get_close_matches(key, READ - set(keys), n=1, cutoff=NEAR)
        if key not in READ | {PIPELINE} and not key.startswith("_") and not key.endswith(VARIABLES):
            near = near or [
                one for one in READ if one.replace("_", "") == key.replace("_", "").lower()
            ]
            if near:
                yield f"{key}: nothing reads this key of the config; did you mean {near[0]}?"


def doubtful_options(options: Mapping[str, Any], cfg: Mapping[str, Any]) -> Iterator[str]:
    """Say which options add a key that nothing reads.

    Args:
        options: paths and values, as ``--cfg-options`` has them.
        cfg: the config before they are merged.

    Example:
        >>> cfg = dict(optim_wrapper=dict(optimizer=dict(lr=0.1)))
        >>> [doubt] = doubtful_options({"optim_wrapper.optimiser.lr": 1}, cfg)
        >>> doubt
        '--cfg-options optim_wrapper.optimiser.lr: there was no optimiser; did you mean optimizer?'
        >>> list(doubtful_options({"optim_wrapper.clip_grad.max_norm": 1, "resume": True}, cfg))
        []
    """
    for path in options:
        node: Any = cfg
        for depth, word in enumerate(path.split(".")):
            if isinstance(node, list | tuple) and word.isdigit() and int(word) < len(node):
                node = node[int(word)]
                continue
            if not isinstance(node, Mapping):
                break
            if word in node:
                node = node[word]
                continue
            known = [*node, *(READ if depth == 0 else ())]
            near = difflib.get_close_matches(word, map(str, known), n=1, cutoff=NEAR)
            if near and word not in known:
                yield f"--cfg-options {path}: there was no {word}; did you mean {near[0]}?"
            elif depth == 0 and word not in READ:
                yield (
                    f"--cfg-options {path}: there was no {word}, and nothing reads it; "
                    "correct the name"
                )
            break
