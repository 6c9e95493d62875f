"""Whether mmcv has its own compiled extension here, and the mark of tests that compare with it."""

from importlib.machinery import PathFinder

import mmcv
import pytest

COMPILED = PathFinder.find_spec("mmcv._ext", mmcv.__path__) is not None
compiled_only = pytest.mark.skipif(
    not COMPILED, reason="mmcv has no compiled extension here: make test-ops"
)
