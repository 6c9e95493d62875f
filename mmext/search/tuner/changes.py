"""Change values of a resolved config by dotted keys, and write the change as a config file.

Plain dicts and text: mmengine is not needed, so a trial's config costs no process with torch.
"""

import copy
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from mmext.errors import BadInputError

Config = dict[str, Any]
DELETE = "_delete_"
MISSING = object()
OPAQUE = "\0opaque: "
"""Begins the text that stands for a value which text cannot show, such as a function."""


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a config in dotted form, and its value; indices of lists are keys.

    Example:
        >>> dict(leaves({"a": {"b": 1}, "c": [2]}))
        {'a': {'b': 1}, 'a.b': 1, 'c': [2], 'c.0': 2}
    """
    items = (
        node.items()
        if isinstance(node, Mapping)
        else ((str(i), one) for i, one in enumerate(node))
        if isinstance(node, list | tuple)
        else ()
    )
    for name, value in items:
        key = f"{path}{name}"
        yield key, value
        yield from leaves(value, f"{key}.")


def value_at(cfg: Config, key: str) -> Any:
    """The value of a dotted key.

    Raises:
        KeyError: there is none.
    """
    node: Any = cfg
    for word in key.split("."):
        node = _child(node, word)
    return node


def _child(node: Any, word: str) -> Any:
    if isinstance(node, list | tuple):
        if not word.isdigit() or int(word) >= len(node):
            raise KeyError(word)
        return node[int(word)]
    if not isinstance(node, Mapping):
        raise KeyError(word)
    return node[word]


def nearest(key: str, cfg: Config) -> str:
    """The keys most like one that the config does not have, in words; empty if none is near."""
    known = [one for one, _ in leaves(cfg)]
    last = key.rpartition(".")[2]
    same = [one for one in known if one.rpartition(".")[2] == last]
    near = difflib.get_close_matches(key, same or known, n=1, cutoff=0.0 if same else 0.6)
    if not near:
        words = {one.rpartition(".")[2]: one for one in reversed(known)}
        near = [words[one] for one in difflib.get_close_matches(last, list(words), n=1)]
    return f"; did you mean {near[0]}?" if near else ""


def merged(old: Any, new: Any) -> Any:
    """What mmengine makes of a value that is laid over another: dicts merge unless ``_delete_``.

    Example:
        >>> merged({"a": 1, "b": 2}, {"a": 3})
        {'a': 3, 'b': 2}
        >>> merged({"a": 1}, {"_delete_": True, "b": 2})
        {'b': 2}
    """
    if not isinstance(new, Mapping):
        return copy.deepcopy(new)
    plain = {name: value for name, value in new.items() if name != DELETE}
    if new.get(DELETE) or not isinstance(old, Mapping):
        return {name: merged(None, value) for name, value in plain.items()}
    result = {**old}
    for name, value in plain.items():
        result[name] = merged(old.get(name), value)
    return result


def changed(cfg: Config, changes: Mapping[str, Any]) -> Config:
    """A copy of the config with other values at some dotted keys."""
    result = copy.deepcopy(cfg)
    for key, value in changes.items():
        *parents, last = key.split(".")
        node: Any = result
        for depth, word in enumerate(parents):
            if isinstance(child := _child(node, word), tuple):
                child = list(child)
                _set(node, word, child)
            if not isinstance(child, dict | list):
                at = ".".join(parents[: depth + 1])
                raise BadInputError(f"{key}: expected keys below {at}, got {child!r}; correct it")
            node = child
        old = node.get(last) if isinstance(node, dict) else _child(node, last)
        _set(node, last, merged(old, value))
    return result


def _set(node: Any, word: str, value: Any) -> None:
    node[int(word) if isinstance(node, list) else word] = value


def delta(cfg: Config, changes: Mapping[str, Any]) -> Config:
    """The smallest dict that a config file lays over its base to make these changes.

    A file cannot reach into a list, so the whole list is in it.
    """
    whole = changed(cfg, changes)
    result: Config = {}
    for key, value in changes.items():
        words = key.split(".")
        base: Any = cfg
        node = result
        for depth, word in enumerate(words):
            at = base.get(word, MISSING) if isinstance(base, Mapping) else MISSING
            if isinstance(at, list | tuple) and depth < len(words) - 1:
                node[word] = shown(value_at(whole, ".".join(words[: depth + 1])), key)
                break
            if depth == len(words) - 1:
                replaces = isinstance(value, Mapping) and not isinstance(at, Mapping)
                node[word] = {DELETE: True, **value} if replaces and at is not MISSING else value
                break
            node = node.setdefault(word, {})
            base = at
    return result


def shown(value: Any, key: str) -> Any:
    """The value, if text can show all of it.

    Raises:
        BadInputError: it holds a function, a class, or the like.
    """
    inside = [value, *(one for _, one in leaves(value))]
    if any(isinstance(one, str) and one.startswith(OPAQUE) for one in inside):
        raise BadInputError(
            f"{key}: expected a list of plain values around it, got one that text cannot show; "
            "search another key"
        )
    return value


def config_text(base: str, content: Config, doc: str) -> str:
    """A config file.

    Args:
        base: config that it stands on.
        content: what is laid over it.
        doc: its docstring, without quotes.
    """
    lines = [f'"""{doc}"""', "", f"_base_ = {base!r}", ""]
    lines += [f"{name} = {literal(value)}" for name, value in content.items()]
    return "\n".join(lines) + "\n"


def literal(value: Any) -> str:
    """A value as a config writes it.

    Example:
        >>> literal({"type": "SGD", "lr": 0.1})
        "dict(type='SGD', lr=0.1)"
    """
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return f"float({str(value)!r})"
    if isinstance(value, Mapping):
        if all(isinstance(name, str) and name.isidentifier() for name in value):
            return f"dict({', '.join(f'{name}={literal(one)}' for name, one in value.items())})"
        inside = ", ".join(f"{name!r}: {literal(one)}" for name, one in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    return repr(value)
