"""Every registered class is had from its paper's package, and the package alone costs no host."""

import importlib
from pathlib import Path

import pytest

from tests.contract.parts import all_parts
from tests.fresh_process import BLOCK, run

MODULES = {part.cls.__module__ for part in all_parts()}
PACKAGES = sorted({name.rpartition(".")[0] for name in MODULES if name.count(".") > 2})


@pytest.mark.parametrize("part", all_parts(), ids=lambda part: part.name)
def test_it_can_be_imported_from_its_paper(part):
    paper = importlib.import_module(".".join(["mmext", *part.paper]))
    assert getattr(paper, part.name) is part.cls


@pytest.mark.parametrize("package", PACKAGES)
def test_a_misspelt_class_is_no_attribute(package):
    with pytest.raises(AttributeError, match="has no attribute 'NoSuchHead'"):
        importlib.import_module(package).NoSuchHead  # noqa: B018


def test_packages_cost_no_host_until_a_class_is_asked_for(tmp_path: Path) -> None:
    run(
        f"""
        import importlib, sys
        for package in {PACKAGES}:
            importlib.import_module(package)
        assert not {{"mmdet", "mmseg", "mmaction"}} & set(sys.modules)
        from mmext.detection.gfl import GFLHead
        assert GFLHead.__module__ == "mmext.detection.gfl.head"
        assert "mmseg" not in sys.modules and "mmaction" not in sys.modules
        """,
        cwd=tmp_path,
    )


def test_a_missing_host_is_named(tmp_path: Path) -> None:
    run(
        BLOCK
        + """
sys.meta_path.insert(0, Block("mmdet"))
from mmext.detection.gfl import quality_focal_loss
try:
    from mmext.detection.gfl import GFLHead
except ImportError as error:
    assert "mmext.detection.gfl needs mmdet" in str(error), error
else:
    raise AssertionError("there is no host")
""",
        cwd=tmp_path,
    )
