"""What an error for people is made of: its class, and lists that stay short."""

from collections.abc import Iterable


class BadInputError(ValueError):
    """Something a person gave is wrong: the message is one sentence that says expected, got and do."""


def some(names: Iterable[str], most: int = 5) -> str:
    """Join the first few names.

    Example:
        >>> some("abcdefgh")
        'a, b, c, d, e and 3 more'
    """
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "none"
