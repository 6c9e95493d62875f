"""Every registered part has what the house asks for: a card, a test file, configs, a README row."""

import inspect
import re
import sys

import pytest
from mmengine.evaluator import BaseMetric

from tests.contract.parts import ROOT, all_parts

PARTS = pytest.mark.parametrize("part", all_parts(), ids=lambda part: part.name)
PAPERS = pytest.mark.parametrize(
    "part", [part for part in all_parts() if part.is_of_a_paper], ids=lambda part: part.name
)


def test_the_registry_is_not_empty():
    assert {"GFLHead", "QualityFocalLoss", "DistributionFocalLoss"} <= {
        part.name for part in all_parts()
    }


@PARTS
def test_it_has_a_card(part):
    paper = re.search(r"^Paper +.*https://arxiv\.org/abs/\d{4}\.\d{4,5}", part.card, re.M)
    assert bool(paper) == part.is_of_a_paper
    assert re.search(r"^Host +\S", part.card, re.M)


def entries(doc: str) -> list[str]:
    """Names that the section Args of a docstring explains, several in a line included."""
    section = re.search(r"^( *)Args:\n((?:\1 +.*\n|\n)+)", f"{inspect.cleandoc(doc)}\n", re.M)
    if section is None:
        return []
    lines = section[2].splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    heads = [line.partition(": ")[0] for line in lines if line.strip() and line[margin] != " "]
    return [
        name.strip().lstrip("*") for head in heads for name in head.strip().rstrip(":").split(",")
    ]


def test_entries_are_names_with_an_explanation():
    doc = """Idea with a loss of weight.

    Args:
        a, b: two of them,
            and more: this is no entry.
        *args: rest.
        **host_cfg: the host's.

    Raises:
        ValueError: c is not an argument.
    """
    assert entries(doc) == ["a", "b", "args", "host_cfg"]
    assert entries("Takes a and b.") == []


@PARTS
def test_its_class_explains_each_argument_and_no_other(part):
    # The class whose constructor it is; a host's own is the host's to explain.
    owner = next(cls for cls in part.cls.__mro__ if "__init__" in vars(cls))
    if not owner.__module__.startswith("mmext."):
        assert not entries(vars(part.cls).get("__doc__") or "")
        return
    arguments = list(inspect.signature(owner.__init__).parameters)[1:]
    own = part.cls.__doc__ or ""
    if elsewhere := re.search(r"arguments as in :class:`(\w+)`", own):
        own = getattr(sys.modules[part.cls.__module__], elsewhere[1]).__doc__
    assert sorted(entries(own) or entries(owner.__doc__ or "")) == sorted(arguments)


@PARTS
def test_it_has_tests(part):
    tests = ROOT.joinpath("tests", *part.paper)
    files = (
        list(tests.glob("test_*.py"))
        if tests.is_dir()
        else list(tests.parent.glob(f"test_{tests.name}.py"))
    )
    assert any(part.name in path.read_text() for path in files)


@PAPERS
def test_it_has_a_small_config_and_its_folder_a_readme(part):
    # What judges a large data set has nothing to judge in a small one.
    assert part.small_configs or issubclass(part.cls, BaseMetric), (
        f"no small config (*_trees.py, *_stamps.py, *_motion.py …) names mmext.{part.name}"
    )
    assert all(path.is_file() for path in part.readmes)


@PARTS
def test_a_config_or_base_names_it(part):
    assert part.configs


@PAPERS
def test_its_paper_has_a_row_in_the_readme(part):
    table = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("|")]
    folders = [str(path.parent.relative_to(ROOT)) for path in part.readmes]
    assert all(any(folder in row for row in table) for folder in folders)
