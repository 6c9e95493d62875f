"""A space as the command line writes it: ``lr,depth=int(1,8),arch=[a,b]``, read into specs."""

import ast
import re
from typing import Any

from mmext.errors import BadInputError

ASKS = "give lr=log(1e-4,1e-1), depth=int(1,8), x=float(0,1) or arch=[a,b]"


def from_text(text: str) -> dict[str, Any]:
    """``lr,depth=int(1,8),arch=[a,b]`` as specs by name; None stands for the usual range.

    Example:
        >>> from_text("lr,n=int(1,3)")
        {'lr': None, 'n': {'type': 'int', 'low': 1, 'high': 3}}
    """
    specs: dict[str, Any] = {}
    for item in split(text):
        name, equals, value = item.partition("=")
        if name in specs:
            raise BadInputError(f"--space: expected each key once, got {name} twice")
        specs[name] = _spec_of(name, value) if equals else None
    return specs


def split(text: str) -> list[str]:
    """Cut at commas outside of brackets."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [one.strip() for one in found if one.strip()]


def _spec_of(name: str, text: str) -> dict[str, Any]:
    call = re.fullmatch(r"(log|float|int)\((.*)\)", text)
    if call:
        numbers = [literal(one) for one in split(call[2])]
        if len(numbers) not in (2, 3):
            raise BadInputError(f"--space {name}={text}: expected (low,high), got {text}; {ASKS}")
        kind = "int" if call[1] == "int" else "float"
        spec = dict(type=kind, **dict(zip(("low", "high", "step"), numbers, strict=False)))
        return {**spec, "log": True} if call[1] == "log" else spec
    if text.startswith("[") and text.endswith("]"):
        return {"type": "categorical", "choices": [literal(one) for one in split(text[1:-1])]}
    raise BadInputError(f"--space {name}={text}: expected a range or choices, got {text!r}; {ASKS}")


def literal(text: str) -> Any:
    """A value of Python, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
