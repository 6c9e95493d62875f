"""Load a config, and find misspelt names in it before anything is built.

Host     mmengine; the others only through the registries of the scopes that the config mentions
Types    of whatever the Runner builds. A ``type`` is known if a registry of the default scope, of a
         ``_scope_``, of mmengine, or of the scope that it is written with knows it; whether it fits
         its place is not checked. Names in small letters may be mere options of a layer: the host
         checks them.
"""

import difflib
import functools
import importlib
import importlib.util
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mmengine.runner  # noqa: F401  fills mmengine's own registries
from mmengine import registry as root
from mmengine.config import Config
from mmengine.registry import Registry, init_default_scope

from mmext import shipped
from mmext.data_checks.needs import parts
from mmext.engine import keys
from mmext.engine.ranks import rank
from mmext.errors import BadInputError

logger = logging.getLogger("mmext")

ROOTS = tuple(
    one
    for name, one in vars(root).items()
    if isinstance(one, Registry)
    and name not in ("INFERENCERS", "FUNCTIONS")  # no run builds from these
)
BUILT = (
    "model",
    "dataloader",
    "evaluator",
    "cfg",
    "optim_wrapper",
    "param_scheduler",
    "hooks",
    "visualizer",
)
"""Ends of the top-level keys that a Runner builds; the others are variables of the config."""

BY_NAME = frozenset({"AvgConsensus"})
"""Names that a host compares as strings and never looks up (mmaction2's consensus)."""


def load_config(file: str, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config by path or name, merge ``options`` (``--cfg-options``), set the default scope.

    Keys that look misspelt are warned of.

    Raises:
        BadInputError: the file or one of its bases is missing, or it is no valid config.
    """
    file = find_config(file)
    options = dict(options or {})
    try:
        cfg = Config.fromfile(file)
        doubts = (
            [*keys.doubtful(cfg), *keys.doubtful_options(options, dict(cfg.items()))]
            if rank() == 0
            else []
        )
        cfg.merge_from_dict(options)
    except (ImportError, SyntaxError, OSError, KeyError, TypeError, ValueError, NameError) as error:
        got = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInputError(
            f"{file}: expected a config, got {got}; correct it or its _base_"
        ) from error
    for doubt in doubts:
        logger.warning("%s: %s", file, doubt)
    if cfg.get("default_scope"):
        init_default_scope(cfg.default_scope)
    return cfg


def find_config(file: str) -> str:
    """The path of a config that is given by its path, or by its name among those that mmext ships.

    Raises:
        BadInputError: there is neither.
    """
    if Path(file).is_file():
        return file
    try:
        return str(shipped.find(file))
    except BadInputError as error:
        guess = str(error).rpartition("; ")[2]
        raise BadInputError(
            f"{file}: not found, expected a config there, or the name of one that mmext ships; "
            f"{guess}"
        ) from None


def check_types(cfg: Config) -> None:
    """Look up every ``type`` that a run builds.

    Raises:
        BadInputError: nobody knows one of them, or the package that should is missing.
    """
    found = list(_types(cfg.to_dict()))
    scopes = {scope for _, kind, scope in found if scope and kind} | {
        cfg.get("default_scope") or "mmengine"
    }
    where = " or ".join(sorted(scopes))
    known = (
        {name for scope in scopes for name in _names(scope, cfg.filename)}
        | _names("mmengine")
        | BY_NAME
    )
    for path, kind, _ in found:
        if kind not in known and not _is_known_elsewhere(kind, cfg.filename, path):
            raise BadInputError(
                f"{cfg.filename}: {path}.type is {kind!r}, expected a name that {where} or mmext "
                f"registers; {_advice(kind, known)}"
            )


def _types(cfg: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Yield path, type and ``_scope_`` of every part that will be built."""
    opaque: list[str] = []  # parts whose inner types belong to another library
    for key in cfg:
        if not key.endswith(BUILT):
            continue
        for path, part in parts(cfg[key], key):
            kind = part.get("type")
            if not isinstance(kind, str) or path.startswith(tuple(opaque)):
                continue
            if kind.rpartition(".")[2] == "Albu":
                opaque.append(f"{path}.")
            yield path, kind, part.get("_scope_")


@functools.cache
def _names(scope: str, file: str = "") -> frozenset[str]:
    """Return all names that a scope registers, in whichever registry."""
    try:
        importlib.import_module(f"{scope}.registry")
    except ImportError as error:
        raise BadInputError(
            f"{file}: expected the package {scope} for its scope {scope!r}, got {error}; install "
            "it, or run mmext doctor"
        ) from error
    if scope == "mmengine" and importlib.util.find_spec("mmcv"):
        importlib.import_module("mmcv.transforms")  # it adds to mmengine's own registries
    names: set[str] = set()
    for one in ROOTS:
        registry = one._search_child(scope)
        if registry is not None:
            try:
                registry.import_from_location()
            except ImportError as error:  # mmaction2 names a folder that it does not have
                logger.debug("registry %s of %s is incomplete: %s", registry.name, scope, error)
            names |= set(registry.module_dict)
    return frozenset(names)


def _is_known_elsewhere(kind: str, file: str | None, path: str) -> bool:
    """Look where a plain look-up does not: behind a scope, a dotted path, in mmcv's functions."""
    scope, dot, _ = kind.partition(".")
    if not dot:
        return kind[0].islower() or _is_operator(kind)
    if importlib.util.find_spec(scope) is None:
        raise BadInputError(
            f"{file}: {path}.type is {kind!r}, expected the package {scope} for it, got none; "
            "install it or correct the name"
        )
    if scope in ("timm", "torchvision"):  # mmaction2 builds these by itself
        return True
    missing: ImportError | None = None
    for one in ROOTS:
        try:
            if one.get(kind) is not None:
                return True
        except ImportError as error:  # of mmext.registry, whose message says which host is missing
            missing = missing or error  # another registry may have the name all the same
        # mmengine's word for a dotted path that it cannot follow, and ours for a name that is
        # nearly one.
        except (RuntimeError, KeyError) as error:
            logger.debug("%s: %s", kind, error)
    if missing:
        raise BadInputError(f"{file}: {path}.type is {kind!r}: {missing}") from missing
    return False


def _is_operator(kind: str) -> bool:
    """Say whether mmcv.ops has it; RoI layers are taken from there."""
    if importlib.util.find_spec("mmcv") is None:
        return False
    return hasattr(importlib.import_module("mmcv.ops"), kind)


def _advice(kind: str, known: set[str]) -> str:
    scope, dot, _ = kind.rpartition(".")
    candidates = (
        {f"{scope}.{one}" for one in _names(scope)} if dot and "." not in scope else set(known)
    )
    candidates |= {f"mmext.{one}" for one in _names("mmext")}
    near = difflib.get_close_matches(kind, sorted(candidates), n=3, cutoff=0.7)
    guess = f"did you mean {' or '.join(near)}? Correct it" if near else "correct it"
    return f"{guess}, or list the module that defines it in custom_imports"
