"""Ask a process with mmengine, for one what a config is. Nothing of it stays here."""

import ast
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmext.errors import BadInputError
from mmext.search.tuner import population
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.settings import Settings, settle

MODULE = "mmext.search.tuner.inside"


def ask(what: str, config: str, folder: Path, *flags: str) -> Any:
    """Run :mod:`mmext.search.tuner.inside` and return what it found.

    Raises:
        BadInputError: with its sentence, or the last line of what went wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{what}.{uuid.uuid4()}"
    line = [sys.executable, "-m", MODULE, what, config, "--out", str(out), *flags]
    done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    try:
        if done.returncode == 0:
            return ast.literal_eval(out.read_text(encoding="utf-8"))
    finally:
        out.unlink(missing_ok=True)
    said = [one for one in (done.stderr or done.stdout).splitlines() if one.strip()] or ["no word"]
    sentence = next((one for one in reversed(said) if one.startswith("error: ")), said[-1])
    raise BadInputError(sentence.removeprefix("error: "))


def plan(
    config: str,
    given: Mapping[str, Any],
    work_dir: Path,
    *,
    options: Sequence[str] = (),
    search_file: str | None = None,
) -> Plan:
    """Resolve a config and settle what the search is.

    Args:
        config: path, or a name among those that mmext ships.
        given: flags of the command line.
        work_dir: of the search.
        options: ``--cfg-options`` as they were given.
        search_file: a config whose ``search`` takes the place of the config's.
    """
    flags = [*(("--cfg-options", *options) if options else ())]
    flags += ["--search-file", search_file] if search_file else []
    flags += ["--verify"] if given.get("verify", True) else []
    found = ask("resolve", config, work_dir, *flags)
    settings = settle(found["search"], given)
    settings = replace(settings, options=found["options"])
    settings = replace(settings, objective=named(settings, found["save_best"], found["rule"]))
    result = Plan(settings, found["base"], found["cfg"], found["bare"], work_dir)
    if settings.method == "pbt":
        population.check_keys(list(result.space.parameters))
        population.ends(settings, result.cfg)
    if settings.own:
        result.space.require_own()
    return result


def named(settings: Settings, save_best: Any, rule: Any) -> Any:
    """The objective; ``auto`` is what the best checkpoint is chosen by, if the config names it."""
    if settings.objective != "auto" or not isinstance(save_best, str) or save_best == "auto":
        return settings.objective
    return f"-{save_best}" if rule == "less" or "loss" in save_best else save_best
