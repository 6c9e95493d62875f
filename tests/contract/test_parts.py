"""Every registered part has what the house asks for: a card, a test file, configs, a row in the README."""

import re

import pytest

from tests.contract.parts import ROOT, all_parts

PARTS = pytest.mark.parametrize("part", all_parts(), ids=lambda part: part.name)


def test_the_registry_is_not_empty():
    assert {"GFLHead", "QualityFocalLoss", "DistributionFocalLoss"} <= {part.name for part in all_parts()}


@PARTS
def test_it_has_a_card(part):
    assert re.search(r"^Paper +.*https://arxiv\.org/abs/\d{4}\.\d{4,5}", part.card, re.M)
    assert re.search(r"^Host +\S", part.card, re.M)


@PARTS
def test_its_class_documents_every_argument(part):
    import inspect

    arguments = list(inspect.signature(part.cls.__init__).parameters)[1:]
    missing = [name for name in arguments if name not in (part.cls.__doc__ or "")]
    assert not missing, f"{part.name} does not say what {missing} mean"


@PARTS
def test_it_has_tests(part):
    tests = ROOT.joinpath("tests", *part.paper)
    files = (
        list(tests.glob("test_*.py")) if tests.is_dir() else list(tests.parent.glob(f"test_{tests.name}.py"))
    )
    assert any(part.name in path.read_text() for path in files)


@PARTS
def test_it_has_a_small_config_and_its_folder_a_readme(part):
    assert part.small_configs, (
        f"no small config (*_trees.py, *_stamps.py, *_motion.py) names mmext.{part.name}"
    )
    assert all(path.is_file() for path in part.readmes)


@PARTS
def test_its_paper_has_a_row_in_the_readme(part):
    table = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("|")]
    folders = [str(path.parent.relative_to(ROOT)) for path in part.readmes]
    assert all(any(folder in row for row in table) for folder in folders)
