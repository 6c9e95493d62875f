"""What an error for people is made of: its class, and lists that stay short."""

import difflib
from collections.abc import Iterable


class BadInputError(ValueError):
    """Something a person gave is wrong: the message, one sentence, says expected, got and do."""


def some(names: Iterable[str], most: int = 5) -> str:
    """Join the first few names.

    Example:
        >>> some("abcdefgh")
        'a, b, c, d, e and 3 more'
    """
    names = list(names)
    return (
        ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
        or "none"
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name that is nearest to a misspelt one, in words; empty if none is near.

    Example:
        >>> did_you_mean("lambads", ["lam", "lambdas", "clamp"])
        " (did you mean 'lambdas'?)"
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
