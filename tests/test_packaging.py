"""What is shipped: wheel, source distribution, editable install, and the container's recipe."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from mmext.version import __version__

REPO = Path(__file__).resolve().parents[1]
MADE_AT_THE_TOP = {".git", "data", "work_dirs", "build", "dist"}
MADE_ANYWHERE = shutil.ignore_patterns(
    ".venv*", "*.egg-info", "__pycache__", ".*_cache", ".mim", ".cache"
)


def left_behind(folder, names):
    """What a checkout may hold that no clone of it does."""
    return MADE_ANYWHERE(folder, names) | (MADE_AT_THE_TOP if Path(folder) == REPO else set())


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the checkout: building writes into the tree."""
    target = tmp_path_factory.mktemp("source") / "mmext"
    return shutil.copytree(REPO, target, ignore=left_behind)


def run(*command, cwd=None):
    result = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def pip_wheel(source, target):
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        source,
        "--no-deps",
        "--no-build-isolation",
        "-w",
        target,
    )
    return next(target.glob("mmext-*.whl"))


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    return pip_wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def names(wheel) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def files_of(folder, pattern="*"):
    """Files below a folder, relative to the checkout, without what Python leaves there."""
    found = (
        path
        for path in (REPO / folder).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    )
    return {path.relative_to(REPO).as_posix() for path in found}


def test_the_wheel_holds_every_module_and_the_type_marker(names):
    assert files_of("mmext", "*.py") | {"mmext/py.typed"} <= names
    assert "mmext/detection/papers.py" in names


def test_the_wheel_holds_configs_and_tools_where_openmmlab_looks(names):
    shipped = {
        f"mmext/.mim/{name}"
        for name in files_of("configs") | files_of("tools") | {"model-index.yml"}
    }
    assert len(shipped) > 10
    assert {name for name in names if name.startswith("mmext/.mim/")} == shipped


def test_the_wheel_holds_nothing_else(names):
    tops = {name.split("/")[0] for name in names}
    assert tops == {"mmext", "mmext-start.pth", f"mmext-{__version__}.dist-info"}
    inside = {name.split("/")[1] for name in names if name.startswith("mmext/")}
    assert not inside & {"tests", "dev", "docs"}
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_wheel_requires_no_host(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = message_from_bytes(archive.read(f"mmext-{__version__}.dist-info/METADATA"))
    always = [text for text in metadata.get_all("Requires-Dist") if "extra ==" not in text]
    assert [re.match(r"[\w-]+", text).group() for text in always] == ["jaxtyping"]
    assert {"openmmlab", "onedl"} <= set(metadata.get_all("Provides-Extra"))
    assert metadata["Version"] == __version__


def test_the_installed_wheel_imports_without_any_other_package(wheel, tmp_path):
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", tmp_path, wheel)
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import mmext
        loaded = {{"torch", "numpy", "mmengine", "mmcv", "mmdet"}} & set(sys.modules)
        print(mmext.__version__, mmext.__file__, sorted(loaded))
    """
    # neither this environment nor this folder
    printed = run(sys.executable, "-I", "-S", "-c", code)
    assert printed.split() == [__version__, str(tmp_path / "mmext" / "__init__.py"), "[]"]


def backend(source, target, hook):
    """Call setuptools as pip does for a package with a pyproject.toml."""
    return run(
        sys.executable,
        "-c",
        f"from setuptools import build_meta; build_meta.{hook}({str(target)!r})",
        cwd=source,
    )


def test_an_editable_install_links_to_the_checkout(source, tmp_path):
    backend(source, tmp_path, "build_editable")
    backend(source, tmp_path, "build_editable")  # a second time, over the first one's links
    for name in ("configs", "tools", "model-index.yml"):
        link = source / "mmext" / ".mim" / name
        assert link.is_symlink()
        assert link.resolve() == source / name
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert not [name for name in names if "configs" in name]
    assert "mmext-start.pth" in names


def test_the_source_distribution_builds_the_same_wheel(source, names, tmp_path):
    backend(source, tmp_path, "build_sdist")
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        archive.extractall(
            tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {})
        )
    unpacked = tmp_path / f"mmext-{__version__}"
    tops = ("configs", "dev", "docker", "docs", "mmext", "requirements", "tests", "tools", ".ci")
    found = (path for top in tops for path in (source / top).rglob("*"))
    own = [
        path.relative_to(source) for path in found if path.is_file() and ".mim" not in path.parts
    ]
    assert len(own) > 400
    assert [
        str(path) for path in [*own, "Makefile", "README.md"] if not (unpacked / path).is_file()
    ] == []
    assert set(zipfile.ZipFile(pip_wheel(unpacked, tmp_path / "wheel")).namelist()) == names
