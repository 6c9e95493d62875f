"""The set-up: what stops it, what it repeats, where it keeps the wheel; and that its pins agree."""

import argparse
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tools.conftest import REPO

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

sys.path.append(str(REPO / "tools"))  # its scripts import their neighbours by plain name

import setup_checks as checks

from tools import setup

FILES = ("openmmlab", "onedl", "shared", "dev")


def make(*words, **environment):
    """Call make as a person does; make's own variables of an outer call stay out of it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", *words, f"PYTHON={sys.executable}"]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, env={**env, **environment})


def lines(name):
    """Requirements of one file, without comments and includes."""
    text = (REPO / "requirements" / f"{name}.txt").read_text()
    found = (re.sub(r"\s*#.*", "", line) for line in text.splitlines())
    return [Requirement(line) for line in found if line and not line.startswith("-r")]


def is_asked(one):
    """Whether a distribution asks for this here and without an extra."""
    return one.marker is None or one.marker.evaluate({"extra": ""})


@pytest.fixture
def plan(tmp_path):
    """A plan whose environment is, as far as the set-up can tell, complete."""
    return setup.Plan(torch="2.13.0", stack="openmmlab", venv=tmp_path / "venv")


@pytest.fixture
def done(plan, monkeypatch):
    """Names of the steps that were done, of two that do nothing else; the environment is there already."""
    names = []
    plan.python.parent.mkdir(parents=True)
    plan.python.symlink_to(sys.executable)
    setup.save(plan, {"python": f"{sys.version_info[:2]}"})
    monkeypatch.setattr(setup, "check", lambda plan: None)
    use_steps(monkeypatch, names)
    return names


def use_steps(monkeypatch, names, *, first="a", second="b", cut=None):
    """Let the set-up have two steps with these keys; the one named ``cut`` is interrupted."""

    def run(name):
        def step(plan):
            if name == cut:
                raise KeyboardInterrupt
            names.append(name)

        return step

    two = [
        setup.Step("first", first, run("first"), writes=False),
        setup.Step("second", second, run("second")),
    ]
    monkeypatch.setattr(setup, "steps", lambda plan: two)


# What stops it.


@pytest.mark.parametrize("version", [(2, 7), (3, 9), (3, 13)])
def test_other_pythons_are_refused_with_a_command(version):
    with pytest.raises(checks.Stop, match=r"3\.10 to 3\.12.*make setup PYTHON="):
        checks.check_python(version)


@pytest.mark.parametrize("version", [(3, 10), (3, 11, 7), (3, 12)])
def test_supported_pythons_pass(version):
    checks.check_python(version)


@pytest.mark.parametrize("torch", ["2.3.1", "2.14.0", "1.13.1", "3.0.0", "latest", "", "2.13.0; rm"])
def test_other_torches_are_refused_with_a_command(torch):
    with pytest.raises(checks.Stop, match=r"2\.4 to 2\.13.*make setup TORCH="):
        checks.check_torch(torch)


@pytest.mark.parametrize("torch", ["2.4.0", "2.13.0", "2.13", "2.10.0+cu129"])
def test_supported_torches_pass(torch):
    checks.check_torch(torch)


def test_a_compiler_is_found_by_name_and_by_variable(tmp_path):
    compiler = tmp_path / "clang++"
    compiler.touch(mode=0o755)
    (tmp_path / "Python.h").touch()
    checks.check_compiler({"PATH": str(tmp_path)}, include=tmp_path)
    checks.check_compiler({"PATH": "", "CXX": f"{compiler} -O1"}, include=tmp_path)
    with pytest.raises(checks.Stop, match=r"C\+\+ compiler.*install"):
        checks.check_compiler({"PATH": str(tmp_path), "CXX": "g++-99"}, include=tmp_path)


def test_missing_python_headers_are_named(tmp_path):
    (tmp_path / "g++").touch(mode=0o755)
    with pytest.raises(checks.Stop, match=r"Python\.h is missing.*-dev"):
        checks.check_compiler({"PATH": str(tmp_path)}, include=tmp_path)


def test_too_little_disk_is_refused_with_numbers():
    checks.check_disk(4.1, 4, Path("/data"))
    with pytest.raises(checks.Stop, match=r"4 GB and .*/data has 3\.9 GB.*VENV="):
        checks.check_disk(3.9, 4, Path("/data"))


def test_cuda_needs_nvcc_and_devices_to_build_for(tmp_path):
    assert checks.find_nvcc({"CUDA_HOME": str(tmp_path)}) is None
    with pytest.raises(checks.Stop, match=r"nvcc.*MMEXT_CUDA=0"):
        checks.check_nvcc(None)
    with pytest.raises(checks.Stop, match=r"TORCH_CUDA_ARCH_LIST="):
        checks.check_archs("")


def test_a_folder_of_somebody_else_is_never_overwritten(tmp_path):
    checks.check_venv(tmp_path, "mark")  # empty
    (tmp_path / "pyvenv.cfg").touch()
    with pytest.raises(checks.Stop, match="not made by this set-up"):
        checks.check_venv(tmp_path, "mark")
    (tmp_path / "mark").touch()
    checks.check_venv(tmp_path, "mark")


def test_make_stops_with_one_sentence_before_anything_is_installed(tmp_path):
    result = make("setup", "TORCH=2.3.0", f"VENV={tmp_path / 'venv'}")
    assert result.returncode != 0
    said = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert "2.3.0" in said[0]
    assert not (tmp_path / "venv").exists()


def test_make_without_a_compiler_stops_before_anything_is_installed(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh"):
        (tools / name).symlink_to(shutil.which(name))
    places = {"PATH": str(tools), "CXX": "", "MMEXT_CACHE": str(tmp_path / "cache"), "MMEXT_CUDA": "0"}
    result = make("setup", f"VENV={tmp_path / 'venv'}", **places)
    assert result.returncode != 0
    assert "C++ compiler" in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


# What is built, and where it is kept.


def test_wheels_for_different_torches_devices_and_stacks_never_share_a_folder(plan, tmp_path):
    def folder(torch="2.13.0+cpu", cuda="None", **changes):
        return setup.Plan(**{**vars(plan), **changes}).wheel_folder(torch, cuda)

    gpu = {"cuda": "13.0", "torch": "2.13.0+cu130"}
    kept = [
        folder(),
        folder(torch="2.13.0+cu130"),
        folder(torch="2.12.0+cpu"),
        folder(stack="onedl"),
        setup.Plan("2.13.0", "openmmlab", tmp_path, True, "9.0").wheel_folder(gpu["torch"], gpu["cuda"]),
        setup.Plan("2.13.0", "openmmlab", tmp_path, True, "8.0;9.0").wheel_folder(gpu["torch"], gpu["cuda"]),
        setup.Plan("2.13.0", "openmmlab", tmp_path, True, "9.0").wheel_folder(gpu["torch"], "12.9"),
    ]
    assert len(set(kept)) == len(kept)
    assert all(f"cp{sys.version_info[0]}{sys.version_info[1]}" in path.name for path in kept)


def test_the_cache_is_where_the_variables_say(tmp_path):
    assert setup.cache({"MMEXT_CACHE": str(tmp_path)}) == tmp_path
    assert setup.cache({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "mmext"
    assert setup.cache({}) == Path.home() / ".cache" / "mmext"


def test_a_wheel_without_ops_is_refused(tmp_path):
    wheel = tmp_path / "mmcv-2.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mmcv/__init__.py", "")
    with pytest.raises(checks.Stop, match="without mmcv/_ext"):
        checks.check_wheel(wheel)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("mmcv/_ext.cpython-311-x86_64-linux-gnu.so", "")
    checks.check_wheel(wheel)


@pytest.mark.parametrize(("cores", "memory_gb", "jobs"), [(2, 24.0, 2), (64, 16.0, 8), (4, 1.5, 1)])
def test_as_many_compilers_run_as_cores_and_memory_allow(cores, memory_gb, jobs):
    assert checks.num_jobs(cores, memory_gb) == jobs


def test_the_build_is_steered_to_the_cpu_or_to_the_named_devices(plan, tmp_path):
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.touch(mode=0o755)
    env = {"PATH": os.environ["PATH"], "CUDA_HOME": str(tmp_path)}
    on_cpu = setup.build_env(plan, env)
    assert (on_cpu["MMCV_WITH_OPS"], on_cpu["FORCE_CUDA"], on_cpu["CUDA_VISIBLE_DEVICES"]) == ("1", "0", "")
    on_gpu = setup.build_env(setup.Plan("2.13.0", "openmmlab", tmp_path, True, "8.0;9.0"), env)
    assert (on_gpu["FORCE_CUDA"], on_gpu["TORCH_CUDA_ARCH_LIST"]) == ("1", "8.0;9.0")
    assert on_gpu["CUDA_HOME"] == str(tmp_path)
    assert "CUDA_VISIBLE_DEVICES" not in on_gpu


@pytest.mark.parametrize(
    ("env", "cuda", "archs"),
    [
        ({"MMEXT_CUDA": "0", "TORCH_CUDA_ARCH_LIST": "9.0"}, False, "9.0"),
        ({"MMEXT_CUDA": "1", "TORCH_CUDA_ARCH_LIST": "9.0"}, True, "9.0"),
        ({"MMEXT_CUDA": "1"}, True, "8.6;9.0"),
        ({}, True, "8.6;9.0"),
    ],
)
def test_cuda_follows_the_devices_unless_told_otherwise(env, cuda, archs, tmp_path, monkeypatch):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 9.0\necho 8.6\necho 9.0\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    made = setup.make_plan(argparse.Namespace(torch="2.13.0", stack="openmmlab", venv=".venv"), env)
    assert (made.cuda, made.archs) == (cuda, archs)


# What is repeated.


def test_a_second_call_does_nothing(plan, done, monkeypatch, capsys):
    setup.set_up(plan)
    assert done == ["first", "second"]
    setup.set_up(plan)
    assert done == ["first", "second"]
    assert capsys.readouterr().out.splitlines()[-1] == f"mmext is set up in {plan.venv}"


def test_only_a_changed_step_is_repeated(plan, done, monkeypatch):
    setup.set_up(plan)
    use_steps(monkeypatch, done, second="changed")
    setup.set_up(plan)
    assert done == ["first", "second", "second"]


def test_an_interruption_outside_the_environment_goes_on_where_it_was(plan, done, monkeypatch):
    use_steps(monkeypatch, done, cut="first")
    with pytest.raises(KeyboardInterrupt):
        setup.set_up(plan)
    before = plan.python.lstat().st_mtime_ns
    use_steps(monkeypatch, done)
    setup.set_up(plan)
    assert done == ["first", "second"]
    assert plan.python.lstat().st_mtime_ns == before


def test_an_interruption_while_writing_there_makes_the_environment_anew(plan, done, monkeypatch):
    use_steps(monkeypatch, done, cut="second")
    with pytest.raises(KeyboardInterrupt):
        setup.set_up(plan)
    assert json.loads((plan.venv / setup.STATE).read_text())["writing"] == "second"
    (plan.venv / "half-written").touch()
    use_steps(monkeypatch, done)
    setup.set_up(plan)
    assert done == ["first", "first", "second"]
    assert not (plan.venv / "half-written").exists()
    assert subprocess.run([plan.python, "-m", "pip", "--version"], capture_output=True).returncode == 0


def test_each_file_repeats_the_steps_that_depend_on_it(plan, tmp_path, monkeypatch):
    for name in ("requirements", "tools", "mmext"):
        shutil.copytree(REPO / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".mim"))
    for name in ("pyproject.toml", "setup.py"):
        shutil.copy(REPO / name, tmp_path)
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "REQUIREMENTS", tmp_path / "requirements")

    def repeated_by(file):
        before = setup.steps(plan)
        with (tmp_path / file).open("a") as text:
            text.write("\n# changed\n")
        return [old.name for old, new in zip(before, setup.steps(plan), strict=True) if old.key != new.key]

    assert repeated_by("pyproject.toml") == ["mmext"]
    assert repeated_by("requirements/shared.txt") == ["hosts and pinned packages", "proof"]
    assert repeated_by("requirements/onedl.txt") == []
    assert repeated_by("tools/prove.py") == ["proof"]
    pinned = tmp_path / "requirements" / "openmmlab.txt"
    pinned.write_text(pinned.read_text().replace("mmcv==2.1.0", "mmcv==2.0.1"))
    assert plan.mmcv == ("mmcv", "2.0.1")


@pytest.mark.slow
def test_a_real_set_up_survives_kill_and_is_quick_the_second_time(tmp_path):
    torch = importlib.metadata.version("torch").split("+")[0]
    words = [sys.executable, str(REPO / "tools" / "setup.py"), f"--torch={torch}", "--stack=openmmlab"]
    words.append(f"--venv={tmp_path / 'venv'}")
    begun = subprocess.Popen(words, start_new_session=True, stdout=subprocess.PIPE, text=True)
    while "step 1" not in begun.stdout.readline():
        assert begun.poll() is None
    time.sleep(3)  # in the middle of pip
    os.killpg(begun.pid, signal.SIGKILL)
    begun.wait()
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "mmaction builds a model" in again.stdout
    assert len(subprocess.run(words, capture_output=True, text=True).stdout.splitlines()) == 1


# What is pinned.


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_an_exact_pin(name):
    for one in lines(name):
        assert re.fullmatch(r"==[\w.]+", str(one.specifier)), f"{one} in requirements/{name}.txt"


@pytest.mark.parametrize("stack", setup.STACKS)
@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12"])
@pytest.mark.parametrize("machine", [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")])
def test_each_python_and_machine_gets_one_version_of_everything(stack, python, machine):
    env = {
        **default_environment(),
        "python_version": python,
        "sys_platform": machine[0],
        "platform_machine": machine[1],
    }
    chosen = [
        one
        for file in (stack, "shared", "dev")
        for one in lines(file)
        if not one.marker or one.marker.evaluate(env)
    ]
    names = [canonicalize_name(one.name) for one in chosen]
    assert sorted(names) == sorted(set(names))
    assert len([name for name in names if "opencv" in name]) == 1
    assert len([name for name in names if "decord" in name]) == 1


def test_the_lock_holds_all_that_its_packages_ask_for():
    pinned = {canonicalize_name(one.name) for file in ("openmmlab", "shared", "dev") for one in lines(file)}
    # Two names for the OpenCV that is pinned, and what only torch may choose.
    elsewhere = {"opencv-python", "opencv-contrib-python", "torch", "sympy"}
    missing = [
        f"{name} asks for {text}"
        for name in pinned - {"decord2", "eva-decord", "tomli", "exceptiongroup"}  # for other machines
        for text in importlib.metadata.requires(name) or ()
        if is_asked(one := Requirement(text)) and canonicalize_name(one.name) not in pinned | elsewhere
    ]
    assert missing == []


def test_the_extras_name_the_same_hosts_as_the_lock():
    extras = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for stack in setup.STACKS:
        exact = {text for text in extras[stack] if "==" in text and ";" not in text}
        assert exact <= {f"{name}=={version}" for name, version in setup.hosts(stack).items()}
        assert f"{'=='.join(setup.Plan('', stack, Path()).mmcv)}" in exact


# The Makefile and CI.


def test_every_target_sets_up_first():
    targets = dict(re.findall(r"^([a-z-]+):(.*?)(?:##.*)?$", (REPO / "Makefile").read_text(), flags=re.M))
    alone = {"help", "setup", "clean"}
    assert {name for name, needs in targets.items() if "setup" not in needs.split()} == alone
    assert {"demo", "test", "check", "bench", "data", "test-slow", "evidence-trees"} <= set(targets)


def test_ci_runs_the_checks_and_the_tests():
    script = REPO / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text().splitlines() if line.startswith("make ")]
    assert commands == ["make check", "make test"]
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
