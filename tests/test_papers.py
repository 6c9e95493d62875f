"""What CONTRIBUTING says that a paper is made of: five files and four lines. Needs no host."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SMALL = ("trees", "stamps", "motion", "mnist", "digits", "mouse")
STACK = "stack"  # what a task has in place of a host belongs to no paper


def registering(path):
    """The files of a paper that register parts."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [file for file in files if ".register_module(" in file.read_text()]


def papers():
    """Task and name of each paper: what stands in a task's folder and registers parts."""
    tasks = [file.parent for file in ROOT.glob("mmext/*/papers.py")]
    entries = [entry for task in tasks for entry in task.iterdir() if entry.suffix in ("", ".py")]
    found = ((entry.parent.name, entry.stem) for entry in entries if registering(entry))
    return sorted(pair for pair in found if pair[1] != STACK)


PAPERS = pytest.mark.parametrize(("task", "paper"), papers())


def code_of(task, paper):
    folder = ROOT / "mmext" / task / paper
    return folder if folder.is_dir() else folder.with_suffix(".py")


def parts_of(task, paper):
    """Names of the classes that a paper registers."""
    trees = [ast.parse(file.read_text()) for file in registering(code_of(task, paper))]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return [
        node.name
        for node in classes
        if any("register_module" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]


def test_papers_are_found():
    assert {("detection", "gfl"), ("segmentation", "emanet"), ("action", "dnl")} <= set(papers())


@PAPERS
def test_it_has_its_files(task, paper):
    tests = ROOT / "tests" / task
    assert (tests / f"test_{paper}.py").is_file() or list((tests / paper).glob("test_*.py"))
    configs = ROOT / "configs" / task / paper
    assert (configs / "README.md").is_file()
    assert (configs / "metafile.yml").is_file()
    assert [config for config in configs.glob("*.py") if config.stem.endswith(SMALL)]


@PAPERS
def test_the_table_of_contents_imports_every_file_that_registers_a_part(task, paper):
    """Directly, or through a file that it imports."""
    imported = imports_of(ROOT / "mmext" / task / "papers.py")
    for module in list(imported):
        file = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        imported |= imports_of(file) if file.is_file() else set()
    for file in registering(code_of(task, paper)):
        assert ".".join(file.relative_to(ROOT).with_suffix("").parts) in imported


def imports_of(file):
    """Names of modules, and of what is taken from them, that a file imports."""
    statements = [
        node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)
    ]
    names = {f"{node.module}.{alias.name}" for node in statements for alias in node.names}
    return names | {node.module for node in statements if node.module}


@PAPERS
def test_it_has_its_lines(task, paper):
    folder = f"configs/{task}/{paper}"
    index = yaml.safe_load((ROOT / "model-index.yml").read_text())
    assert f"{folder}/metafile.yml" in index["Import"]
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("|")]
    assert any(f"({folder})" in row for row in rows), (
        f"no row of the README's table links to {folder}"
    )
    changes = (ROOT / "CHANGELOG.md").read_text()
    # One of its names is enough: the log shortens rows of names that begin alike.
    assert any(re.search(rf"`mmext\.{part}`", changes) for part in parts_of(task, paper))


def test_configs_belong_to_papers():
    """A paper's configs for another host lie in that task's folder, under the paper's name."""
    folders = {(file.parts[-3], file.parts[-2]) for file in ROOT.glob("configs/*/*/*.py")}
    folders = {pair for pair in folders if pair[0] != "_base_"}
    assert set(papers()) <= folders
    assert {paper for _, paper in folders} == {paper for _, paper in papers()}
