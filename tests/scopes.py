"""mmengine's default scopes, which a process keeps until somebody takes them away."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.registry import DefaultScope


@contextmanager
def ended_with_the_test() -> Iterator[None]:
    """Take away every default scope that was set meanwhile."""
    before = dict(DefaultScope._instance_dict)
    try:
        yield
    finally:
        DefaultScope._instance_dict.clear()
        DefaultScope._instance_dict.update(before)
