"""What an installed mmext can do outside of any checkout.

Its environment is a new one with this one's packages behind it, so nothing is downloaded; a slow
test asks the package index for all of it.
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest
import torch

from mmext.cli import COMMANDS
from mmext.cli.data import NAMES
from mmext.version import __version__
from tests.checkout import REPO
from tests.cli.test_train_and_test import SMALL, scalars
from tests.test_packaging import backend, left_behind, pip_wheel

TREES = "gfl_mobilenet-v2_fpn_1xb4-400i_trees"
STOCK = Path(sysconfig.get_path("purelib"), "mmdet", ".mim", "tools", "train.py")


def outside() -> dict[str, str]:
    """The environment without the path of these tests: what lies there would count as installed."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


class Installed:
    """An environment, and a folder outside of the checkout to work in."""

    def __init__(self, folder: Path, what: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        self.bin, self.work = folder / "venv" / "bin", folder / "work"
        self.work.mkdir()
        (self.work / "data").symlink_to(REPO / "data")
        (self.packages,) = folder.glob("venv/lib/python*/site-packages")
        # Python reads no .pth file of a folder behind, so the mmext that it links to stays unknown.
        (self.packages / "behind.pth").write_text(sysconfig.get_path("purelib"))
        self.run(
            sys.executable, "-m", "pip", "--python", self.bin / "python", "install", "-q",
            "--ignore-installed", "--no-deps", "--no-build-isolation", what,
        )  # fmt: skip

    def run(self, *command: object, code: int = 0) -> str:
        """Run a command in the folder; returns what it printed, and keeps its errors."""
        env = outside()
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.work,
            env={**env, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, (done.stdout + done.stderr)[-3000:]
        self.errors = done.stderr
        return done.stdout

    def mmext(self, *words: object, code: int = 0) -> str:
        return self.run(self.bin / "mmext", *words, code=code)

    def python(self, code: str) -> str:
        return self.run(self.bin / "python", "-c", code)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the checkout: building writes into the tree."""
    return shutil.copytree(REPO, tmp_path_factory.mktemp("source") / "mmext", ignore=left_behind)


@pytest.fixture(scope="module")
def sdist(source, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    backend(source, folder, "build_sdist")
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    return pip_wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), wheel)


def test_the_source_distribution_installs_and_starts(sdist, tmp_path):
    one = Installed(tmp_path, sdist)
    assert one.mmext("--version").strip() == f"mmext {__version__}"
    assert one.run(one.bin / "python", "-m", "mmext", "configs", "path", TREES).startswith(
        str(one.packages)
    )


IMPORT_ALL = """
import importlib, json, pkgutil, sys
import mmext
names = [one.name for one in pkgutil.walk_packages(mmext.__path__, "mmext.")]
for name in names:
    if not name.endswith("__main__"):  # these are commands
        importlib.import_module(name)
from mmengine.config import Config
from mmext import shipped
for name in shipped.names():
    Config.fromfile(f"{shipped.folder()}/{name}.py")
print(json.dumps([mmext.__file__, len(names), len(shipped.names()), str(shipped.folder())]))
"""


def test_every_module_is_imported_and_every_config_is_loaded(installed):
    file, modules, configs, folder = json.loads(installed.python(IMPORT_ALL).splitlines()[-1])
    assert file == str(installed.packages / "mmext" / "__init__.py")
    assert folder == str(installed.packages / "mmext" / ".mim" / "configs")
    # walking leaves out mmext itself
    assert modules + 1 == sum(1 for _ in (REPO / "mmext").rglob("*.py"))
    assert configs == sum("_base_" not in path.parts for path in (REPO / "configs").rglob("*.py"))


HELP = """
import contextlib, io, json, runpy, sys
from pathlib import Path
from mmext.cli import COMMANDS, main
from mmext.cli.data import NAMES
tools, said = Path(sys.argv[1]), {}
def help_of(name, call):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        try:
            call()
        except SystemExit as end:
            assert not end.code, (name, end.code)
    said[name] = text.getvalue()
for words in [[], *([name] for name in COMMANDS), *(["data", name] for name in NAMES)]:
    help_of(" ".join(["mmext", *words]), lambda: main([*words, "--help"]))
for tool in sorted(tools.rglob("*.py")):
    sys.argv = [str(tool), "--help"]
    help_of(tool.name, lambda: runpy.run_path(str(tool), run_name="__main__"))
print(json.dumps(said))
"""


def test_every_command_and_every_tool_that_is_shipped_says_how_it_is_used(installed):
    tools = installed.packages / "mmext" / ".mim" / "tools"
    said = json.loads(installed.run(installed.bin / "python", "-c", HELP, tools).splitlines()[-1])
    shipped = {path.name for path in tools.rglob("*.py")}
    commands = {
        "mmext",
        *(f"mmext {name}" for name in COMMANDS),
        *(f"mmext data {name}" for name in NAMES),
    }
    assert set(said) == shipped | commands
    assert {"train.py", "test.py", "verify.py", "demo.py", "doctor.py", "trees.py"} <= shipped
    for name, text in said.items():
        assert text.startswith("usage: "), name
    for script in tools.glob("*.sh"):
        installed.run("bash", script, code=2)
        assert installed.errors.startswith("usage: ")


def test_help_and_doctor_need_no_other_package(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel]
    env = outside()
    subprocess.run([str(word) for word in pip], check=True, env=env)
    for words, code, part in (
        (["--help"], 0, "say what is wrong with this environment"),
        (["doctor"], 1, "torch"),
        (["configs", "list", "trees"], 0, f"detection/gfl/{TREES}"),
        (["train", TREES], 1, "error: mmext train expected the package "),
    ):
        command = [tmp_path / "bare" / "bin" / "mmext", *words]
        done = subprocess.run(
            [str(word) for word in command], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert part in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_the_doctor_looks_at_where_it_is_installed(installed):
    said = installed.run("bash", "-c", f"{installed.bin}/mmext doctor; true")
    assert re.search(r"mmengine\b", said)
    assert "Traceback" not in installed.errors


def losses(work_dir: Path) -> list[float]:
    return [row["loss"] for row in scalars(work_dir) if "loss" in row]


def test_two_iterations_by_the_name_of_a_config(installed, trees, mobilenet_weights):
    flags = [
        "--work-dir",
        "ours",
        "--no-validate",
        "--seed",
        1,
        "--cfg-options",
        *SMALL,
        "train_cfg.max_iters=2",
    ]
    installed.mmext("train", TREES, *flags)
    found = losses(installed.work / "ours")
    assert len(found) == 2
    assert all(map(math.isfinite, found))


@pytest.mark.skipif(not STOCK.is_file(), reason="this distribution of mmdet ships no tools")
def test_two_iterations_of_mmdet_s_own_tool_with_a_config_that_stands_on_ours(
    installed, trees, mobilenet_weights
):
    """No line of ours runs before the base is read, but the one at Python's start."""
    (installed.work / "mine.py").write_text(
        f'_base_ = "mmext::detection/gfl/{TREES}.py"\nval_cfg = None\n'
    )
    flags = ["--work-dir", "stock", "--cfg-options", *SMALL, "train_cfg.max_iters=2"]
    installed.run(
        installed.bin / "python",
        STOCK,
        "mine.py",
        *flags,
        "val_dataloader=None",
        "val_evaluator=None",
    )
    found = losses(installed.work / "stock")
    assert len(found) == 2
    assert all(map(math.isfinite, found))


def test_the_start_neither_loads_a_host_nor_breaks_one(installed):
    """Without mmengine nothing of ours is imported; with it and a missing mmext, a sentence."""
    assert (
        installed.python("import sys, json, xml.etree; print('mmext' in sys.modules)").strip()
        == "False"
    )
    assert installed.python("import mmengine, sys; print('mmext' in sys.modules)").strip() == "True"
    gone = "import sys; sys.modules['mmext'] = None\nimport mmengine; print('fine')"
    said = installed.python(gone)
    assert said.strip() == "fine"
    assert "mmext cannot repair the hosts: " in installed.errors


@pytest.mark.slow
def test_the_source_distribution_passes_its_own_tests(sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(
            tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {})
        )
    unpacked = tmp_path / f"mmext-{__version__}"
    (unpacked / "data").symlink_to(REPO / "data")
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command,
        cwd=unpacked,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.slow
def test_pip_installs_all_that_a_user_needs_from_the_index(
    wheel, trees, mobilenet_weights, tmp_path
):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    same_torch = f"torch=={torch.__version__.partition('+')[0]}"
    pip = [python, "-m", "pip", "install", "-q", f"mmext[openmmlab] @ {wheel.as_uri()}", same_torch]
    subprocess.run([str(word) for word in pip], check=True)
    (tmp_path / "data").symlink_to(REPO / "data")
    flags = ["--work-dir", "new", "--cfg-options", *SMALL, "train_cfg.max_iters=2"]
    command = [tmp_path / "venv" / "bin" / "mmext", "train", TREES, *flags]
    env = outside()
    done = subprocess.run(
        [str(word) for word in command], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(losses(tmp_path / "new")) == 2
