"""mmcv's own extension and our stand-in, side by side."""

import importlib
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location

import pytest

from mmext.ops import finder, switch, table


@pytest.fixture(scope="session")
def stand_in():
    """What mmcv gets in place of its extension."""
    spec = spec_from_file_location(finder.NAME, finder.STAND_IN)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, stand_in) -> Callable[[str], None]:
    """Let mmcv's operators be served by one source of ours for the rest of a test."""

    def switch_to(source: str) -> None:
        if source == "torchvision" and switch.torchvision_error() is not None:
            pytest.skip(f"torchvision: {switch.torchvision_error()}")
        monkeypatch.setenv(switch.SWITCH, source)
        importlib.import_module("mmcv.ops")
        for name, module in list(sys.modules.items()):
            if name.startswith("mmcv.ops.") and hasattr(module, "ext_module"):
                monkeypatch.setattr(module, "ext_module", stand_in)
        assert table.is_ours(sys.modules["mmcv.ops.nms"].ext_module)

    return switch_to
