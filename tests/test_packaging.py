"""What is shipped: the wheel, the source distribution, an editable install, and the container's recipe."""

import json
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
MADE_ANYWHERE = shutil.ignore_patterns(".venv*", "*.egg-info", "__pycache__", ".*_cache", ".mim", ".cache")


def left_behind(folder, names):
    """What a checkout may hold that no clone of it does."""
    return MADE_ANYWHERE(folder, names) | (MADE_AT_THE_TOP if Path(folder) == REPO else set())


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the checkout: building writes into the tree."""
    target = tmp_path_factory.mktemp("source") / "mmext"
    return shutil.copytree(REPO, target, ignore=left_behind)


def run(*command, cwd=None):
    result = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def pip_wheel(source, target):
    run(sys.executable, "-m", "pip", "wheel", source, "--no-deps", "--no-build-isolation", "-w", target)
    return next(target.glob("mmext-*.whl"))


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    return pip_wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def names(wheel) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def files_of(folder, pattern="*"):
    """Files below a folder of the checkout, relative to the checkout, without what Python leaves there."""
    found = (
        path for path in (REPO / folder).rglob(pattern) if path.is_file() and "__pycache__" not in path.parts
    )
    return {path.relative_to(REPO).as_posix() for path in found}


def test_the_wheel_holds_every_module_and_the_type_marker(names):
    assert files_of("mmext", "*.py") | {"mmext/py.typed"} <= names
    assert "mmext/detection/papers.py" in names


def test_the_wheel_holds_configs_and_tools_where_openmmlab_looks(names):
    shipped = {f"mmext/.mim/{name}" for name in files_of("configs") | files_of("tools") | {"model-index.yml"}}
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
    printed = run(sys.executable, "-I", "-S", "-c", code)  # neither this environment nor this folder
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
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    unpacked = tmp_path / f"mmext-{__version__}"
    tops = ("configs", "dev", "docker", "docs", "mmext", "requirements", "tests", "tools", ".ci")
    found = (path for top in tops for path in (source / top).rglob("*"))
    own = [path.relative_to(source) for path in found if path.is_file() and ".mim" not in path.parts]
    assert len(own) > 400
    assert [str(path) for path in [*own, "Makefile", "README.md"] if not (unpacked / path).is_file()] == []
    assert set(zipfile.ZipFile(pip_wheel(unpacked, tmp_path / "wheel")).namelist()) == names


# The container.


@pytest.fixture(scope="module")
def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions of each target of the Dockerfile."""
    text = re.sub(r"^#.*\n", "", (REPO / "docker" / "Dockerfile").read_text(), flags=re.M).replace(
        "\\\n", " "
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            image, name = rest.split(" AS ")
            current = found.setdefault(name, [])
            rest = image
        current.append((word, " ".join(rest.split())))
    return found


def instructions(stage, word):
    return [rest for name, rest in stage if name == word]


def test_there_is_a_cpu_and_a_cuda_target(stages):
    assert set(stages) == {"cpu", "cuda"}
    assert instructions(stages["cpu"], "CMD") == [json.dumps(["make", "demo"])]


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_the_set_up_is_make_setup_as_an_ordinary_user(stages, target):
    stage = stages[target]
    runs = instructions(stage, "RUN")
    assert [rest.split()[-2:] for rest in runs if "make setup" in rest] == [["make", "setup"]]
    assert not [rest for rest in runs if "pip" in rest]
    words = [word for word, _ in stage]
    copied, set_up = words.index("COPY"), stage.index(("RUN", runs[-1]))
    assert words.index("USER") < words.index("WORKDIR") < copied < set_up
    assert instructions(stage, "USER") == ["mmext"]
    assert "useradd" in runs[0]


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_torch_is_the_makefiles_and_reaches_the_set_up(stages, target):
    default = re.search(r"^TORCH \?= (\S+)$", (REPO / "Makefile").read_text(), flags=re.M).group(1)
    assert f"TORCH={default}" in instructions(stages[target], "ARG")
    assert "TORCH=${TORCH}" in instructions(stages[target], "ENV")[0].split()


def test_base_images_are_pinned_and_have_a_supported_python(stages):
    for stage in stages.values():  # Debian 12 has Python 3.11, 13 has 3.13
        assert re.fullmatch(r"debian:1[23]\.\d+-slim", instructions(stage, "FROM")[0])


def test_the_cuda_target_gets_a_cuda_build_without_a_device(stages):
    assert "MMEXT_CUDA=1" in instructions(stages["cuda"], "ENV")[0].split()
    assert "UV_TORCH_BACKEND" in instructions(stages["cpu"], "ARG")


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_the_steps_are_those_that_are_tried_on_a_bare_machine(stages, target):
    bare = (REPO / "dev" / "environment" / "bare.sh").read_text()
    packages = re.search(r'^PACKAGES="(.*)"$', bare, flags=re.M).group(1)
    commands = re.search(r"^COMMANDS=\((.*)\)$", bare, flags=re.M).group(1)
    assert f" --no-install-recommends {packages} " in instructions(stages[target], "RUN")[0]
    assert list(re.findall(r"'(.*?)'", commands)) == [
        "make demo",
        'make test ARGS="-k registry"',
    ]
    assert " ".join(json.loads(instructions(stages["cpu"], "CMD")[0])) in commands
    uid = re.search(r"--uid (\d+)", instructions(stages[target], "RUN")[0]).group(1)
    assert f"--userspec={uid}:{uid}" in bare
    assert subprocess.run(["bash", "-n", REPO / "dev" / "environment" / "bare.sh"]).returncode == 0


def test_the_context_leaves_out_what_the_image_makes_itself():
    ignored = set((REPO / ".dockerignore").read_text().split())
    assert {".git", ".venv*", "data", "work_dirs"} <= ignored
    assert not ignored & {
        "configs",
        "mmext",
        "tools",
        "requirements",
        "Makefile",
        "README.md",
        "model-index.yml",
    }
