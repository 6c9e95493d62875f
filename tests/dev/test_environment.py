"""The set-up: what stops it, what it installs from where, what it repeats; its pins agree."""

import argparse
import doctest
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dev.environment import installer, mmcv_wheel, setup
from dev.environment.installer import Stop
from mmext.doctor import supported
from mmext.doctor.facts import OK, TROUBLE, WARN
from tests.checkout import REPO

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILES = ("openmmlab", "onedl", "shared", "dev", "uv")


OUTER = {"MFLAGS", "PYTHON", "TORCH", "STACK", "OPS", "VENV", "JOBS", "ARGS"}


def make(*words, **environment):
    """Call make as a person does; make's own variables of an outer call stay out of it."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAKE") and name not in OUTER
    }
    command = ["make", *words, f"PYTHON={sys.executable}"]
    return subprocess.run(
        command, cwd=REPO, capture_output=True, text=True, env={**env, **environment}
    )


def lines(name):
    """Requirements of one file, without comments and includes."""
    text = (REPO / "requirements" / f"{name}.txt").read_text()
    found = (re.sub(r"\s*#.*", "", line) for line in text.splitlines())
    return [Requirement(line) for line in found if line and not line.startswith("-r")]


def is_asked(one):
    """Whether a distribution asks for this here and without an extra."""
    return one.marker is None or one.marker.evaluate({"extra": ""})


def said(result):
    """What a set-up that stopped has said, without make's own lines."""
    return [line for line in result.stderr.splitlines() if not line.startswith("make")]


@pytest.fixture
def plan(tmp_path):
    """A plan whose environment is, as far as the set-up can tell, complete."""
    return setup.Plan(torch="2.14.1", stack="openmmlab", venv=tmp_path / "venv")


@pytest.fixture
def installs(plan, monkeypatch):
    """Which plans were installed, by a set-up that installs nothing."""
    made = []

    def bare(python, *words):  # pip takes seconds to put in, and nobody calls it here
        subprocess.run([python, *words[:-1], "--without-pip", words[-1]], check=True)

    monkeypatch.setattr(setup, "install", made.append)
    monkeypatch.setattr(setup, "call", bare)
    return made


# What stops it.


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ((2, 7), TROUBLE),
        ((3, 9), TROUBLE),
        ((3, 14), TROUBLE),
        ((3, 10), OK),
        ((3, 11, 7), OK),
        ((3, 13), OK),
    ],
)
def test_other_pythons_are_refused_with_a_command(version, status):
    found = supported.check_python(version)
    assert found.status == status
    assert status == OK or re.search(
        r"3\.10 to 3\.13, got .*make setup (\w+=\S+ )*PYTHON=", found.sentence()
    )


@pytest.mark.parametrize(
    ("torch", "status"),
    [(torch, TROUBLE) for torch in ("2.3.1", "1.13.1", "latest", "", "2.13.0; rm")]
    + [(torch, OK) for torch in ("2.4.0", "2.14.1", "2.13", "2.10.0+cu129")]
    + [(torch, WARN) for torch in ("2.15.0", "3.0.0", "2.14.0.dev20261120+cpu", "2.14.0rc1")],
)
def test_an_old_torch_is_refused_and_a_new_one_doubted(torch, status):
    found = supported.check_torch(torch)
    assert found.status == status
    assert status == OK or re.search(r"make setup (\w+=\S+ )*TORCH=2\.14\.1", found.sentence())


@pytest.mark.parametrize(
    "words", [["TORCH=2.3.0"], ["VENV={there}"], ["OPS=mmcv", "CXX=g++-99", "MMEXT_CUDA=0"]]
)
def test_make_stops_with_one_sentence_before_anything_is_installed(words, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "pyvenv.cfg").touch()  # somebody else's
    words = [
        f"VENV={tmp_path / 'venv'}",
        *(word.format(there=tmp_path / "there") for word in words),
    ]
    result = make("setup", *words, MMEXT_CACHE=str(tmp_path / "cache"))
    assert result.returncode != 0
    assert len(said(result)) == 1, result.stderr
    assert said(result)[0].startswith("mmext set-up: ")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_an_old_python_gets_the_sentence_too():
    old = next((path for name in ("python3.8", "python3.9") if (path := old_python(name))), None)
    if old is None:
        pytest.skip("there is no Python 3.8 or 3.9 here")
    result = subprocess.run(
        [old, "-m", "dev.environment.setup"], cwd=REPO, capture_output=True, text=True
    )
    assert re.fullmatch(
        r"mmext set-up: Python: expected 3\.10 to 3\.13, got 3\.[89]; do: make setup .*\n",
        result.stderr,
    )


def old_python(name):
    """An interpreter of this name on the path or, if pyenv has it, there."""
    kept = sorted(
        (Path.home() / ".pyenv" / "versions").glob(f"{name.removeprefix('python')}.*/bin/{name}")
    )
    return shutil.which(name) if not kept else str(kept[-1])


def test_a_build_needs_a_compiler_headers_nvcc_and_devices(plan, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "clang++").touch(mode=0o755)
    here, headers = {"PATH": str(tools)}, tmp_path / "include"
    with pytest.raises(Stop, match=r"C\+\+ compiler.*g\+\+-99.*make setup needs no compiler"):
        mmcv_wheel.check_compiler({**here, "CXX": "g++-99"}, headers, cuda=False)
    with pytest.raises(Stop, match=r"Python\.h is missing.*-dev"):
        mmcv_wheel.check_compiler(here, headers, cuda=False)
    headers.mkdir()
    (headers / "Python.h").touch()
    mmcv_wheel.check_compiler(here, headers, cuda=False)
    mmcv_wheel.check_compiler({"PATH": "", "CXX": f"{tools / 'clang++'} -O1"}, headers, cuda=False)
    with pytest.raises(Stop, match=r"nvcc.*MMEXT_CUDA=0"):
        mmcv_wheel.check_compiler({**here, "CUDA_HOME": str(tmp_path)}, headers, cuda=True)
    with pytest.raises(Stop, match=r"TORCH_CUDA_ARCH_LIST="):
        mmcv_wheel.check(plan._replace(ops="mmcv", cuda=True).mmcv, "2.14.1")


def test_too_little_disk_is_refused_with_numbers():
    setup.check_disk(4_100_000_000, 1_000_000_000, Path("/data"))
    with pytest.raises(Stop, match=r"about 4\.0 GB and .*/data has 3\.9 GB.*VENV="):
        setup.check_disk(3_900_000_000, 1_000_000_000, Path("/data"))


def test_an_environment_that_was_damaged_since_is_named(plan, installs):
    setup.set_up(plan)
    site = Path(setup.site_packages(plan)[0])
    for name in ("torch-2.14.1", "torchvision-0.28.0"):
        (site / f"{name}.dist-info").mkdir(parents=True)
    for name in ("torch", "torchvision"):
        (site / name).mkdir()
        (site / name / "__init__.py").touch()
    with pytest.raises(
        Stop, match=r"changed since; torchvision: expected 0\.29.*got 0\.28\.0; do: pip install"
    ):
        setup.set_up(plan)


# What is installed, and from where.


def test_pips_configuration_is_translated_for_uv_without_what_is_not_there(
    tmp_path, monkeypatch, capsys
):
    def known(host, port):
        if host != "a.example":
            raise OSError("Name or service not known")
        return [host]

    monkeypatch.setattr(installer.socket, "getaddrinfo", known)
    monkeypatch.setattr(installer, "getproxies", dict)
    here = tmp_path / "wheels"
    here.mkdir()
    told = f"""
global.cert='/certificates.pem'
global.default-timeout='60'
global.extra-index-url='https://a.example/simple https://d.example/simple file://{here} file://{tmp_path}/gone'
global.find-links='/replaced'
global.index-url='https://b.example/simple'
global.trusted-host='b.example'
install.constraint='{tmp_path}/gone.txt'
:env:.find-links='{here} {tmp_path}/gone'
"""
    assert installer.from_pip(told) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_DEFAULT_INDEX": "https://b.example/simple",
        "UV_INDEX": f"https://a.example/simple file://{here}",
        "UV_FIND_LINKS": str(here),
        "UV_INSECURE_HOST": "b.example",
        "UV_HTTP_TIMEOUT": "60",
        "SSL_CERT_FILE": "/certificates.pem",
    }
    assert capsys.readouterr().out.count("is not there; going on without") == 4
    behind = installer.from_pip(
        "global.proxy='http://c.example:3128'\nglobal.find-links='https://d.example/'"
    )
    assert (behind["HTTPS_PROXY"], behind["HTTP_PROXY"]) == ("http://c.example:3128",) * 2
    assert behind["UV_FIND_LINKS"] == "https://d.example/"


def test_the_examples_are_true():
    assert doctest.testmod(installer).failed == 0


def test_a_cpu_build_is_preferred_without_a_gpu_and_a_version_names_the_pair():
    assert installer.choices("2.4.1", "auto", has_gpu=False) == [
        ["torch==2.4.1+cpu", "torchvision==0.19.*"],
        ["torch==2.4.1+cpu"],
        ["torch==2.4.1", "torchvision==0.19.*"],
        ["torch==2.4.1"],
    ]
    assert installer.choices("2.14.1", "none", has_gpu=True) == [["torch==2.14.1"]]
    assert installer.choices("2.14.1+cu130", "none", has_gpu=False) == [["torch==2.14.1+cu130"]]
    pair = [["torch===2.13.0", "torchvision===0.28.0"]]
    assert installer.choices("2.13.0", "0.28.0", has_gpu=False) == pair


@pytest.mark.parametrize(
    ("torch", "torchvision", "same"),
    [
        ("2.14.1", "0.29.1", True),
        ("2.13.0+cpu", "0.28.0+cpu", True),
        ("2.13.0+cpu", "0.28.0", False),
        ("2.14.1", "0.28.0", False),
        ("2.13.0", "0.28.0+cpu", False),
    ],
)
def test_only_a_torchvision_of_the_same_build_is_taken(torch, torchvision, same, monkeypatch):
    monkeypatch.setattr(supported, "untagged_is_cuda", lambda: True)
    found = {"torch": torch, "torchvision": torchvision}
    assert installer.fits(found) is same
    assert not list(installer.remarks({"torch": "2.14.1"}, "none"))
    assert "plain PyTorch" in " ".join(installer.remarks({"torch": "2.13.0+cpu"}, "auto"))


def test_the_download_is_known_from_the_lock():
    lock = """lock-version = "1.0"

[[packages]]
name = "torch"
version = "2.14.1+cpu"
wheels = [{ url = "https://a.example/torch.whl", size = 190000000, hashes = { sha256 = "0" } }]

[[packages]]
name = "addict"
version = "2.4.0"
sdist = { url = "https://a.example/addict.tar.gz", size = 9000 }
wheels = [{ url = "file:///wheels/addict.whl", hashes = { sha256 = "0" } }]

[[packages]]
name = "onedl-mmcv"
version = "2.3.6"
sdist = { url = "https://a.example/mmcv.tar.gz", size = 500000 }
"""
    assert installer.sizes(lock) == {"torch": 190_000_000, "addict": 0, "onedl-mmcv": 500_000}
    assert installer.versions(lock) == {
        "torch": "2.14.1+cpu",
        "addict": "2.4.0",
        "onedl-mmcv": "2.3.6",
    }
    assert [installer.describe(size) for size in (3_140_000_000, 190_000_000, 90)] == [
        "about 3.1 GB",
        "about 190 MB",
        "about 1 MB",
    ]


def test_what_no_index_has_stops_with_a_sentence(tmp_path):
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("there is no uv here")
    alone = {**os.environ, "UV_NO_INDEX": "1", "UV_OFFLINE": "1"}
    tool = installer.Installer(Path(sys.executable), uv, alone)
    with pytest.raises(Stop, match=r"no index has torch==2\.99\.0 for this Python: .*TORCH="):
        installer.resolve(tool, installer.choices("2.99.0", "auto", True), [], tmp_path)


# What is built, and where it is kept.


def test_wheels_for_different_torches_devices_and_stacks_never_share_a_folder(plan):
    build, onedl = plan.mmcv, plan._replace(stack="onedl").mmcv
    nine, two = (build._replace(cuda=True, archs=archs) for archs in ("9.0", "8.0;9.0"))
    kept = [
        *(build.folder(torch, "None") for torch in ("2.13.0+cpu", "2.13.0+cu130", "2.12.0+cpu")),
        onedl.folder("2.13.0+cpu", "None"),
        *(one.folder("2.13.0+cu130", "13.0") for one in (nine, two)),
        nine.folder("2.13.0+cu130", "12.9"),
    ]
    assert (build.name, onedl.name) == ("mmcv", "onedl-mmcv")
    assert len(set(kept)) == len(kept)
    assert all(f"cp{sys.version_info[0]}{sys.version_info[1]}" in path.name for path in kept)


def test_the_cache_is_where_the_variables_say(tmp_path):
    assert mmcv_wheel.cache({"MMEXT_CACHE": str(tmp_path)}) == tmp_path
    assert mmcv_wheel.cache({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "mmext"
    assert mmcv_wheel.cache({}) == Path.home() / ".cache" / "mmext"


def test_a_wheel_without_ops_is_refused(tmp_path):
    wheel = tmp_path / "mmcv-2.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mmcv/__init__.py", "")
    with pytest.raises(Stop, match="without mmcv/_ext"):
        mmcv_wheel.check_wheel(wheel)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("mmcv/_ext.cpython-311-x86_64-linux-gnu.so", "")
    mmcv_wheel.check_wheel(wheel)


def test_the_cxx_standard_is_left_to_torch(tmp_path):
    folder = tmp_path / "mmcv-2.1.0"
    folder.mkdir()
    (folder / "setup.py").write_text(
        "a = ['-std=c++17']\na += ['-std=c++17']\nb = ['-Wall', '-std=c++17']\n"
    )
    with tarfile.open(tmp_path / "mmcv-2.1.0.tar.gz", "w:gz") as archive:
        archive.add(folder, "mmcv-2.1.0")
    shutil.rmtree(folder)
    assert mmcv_wheel.unpack(tmp_path / "mmcv-2.1.0.tar.gz") == folder
    assert (folder / "setup.py").read_text() == "a = []\na += []\nb = ['-Wall']\n"


@pytest.mark.parametrize(("cores", "memory_gb", "jobs"), [(2, 24.0, 2), (64, 16.0, 8), (4, 1.5, 1)])
def test_as_many_compilers_run_as_cores_and_memory_allow(cores, memory_gb, jobs):
    assert mmcv_wheel.num_jobs(cores, memory_gb) == jobs


def test_the_build_is_steered_to_the_cpu_or_to_the_named_devices(plan, tmp_path):
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.touch(mode=0o755)
    env = {"PATH": os.environ["PATH"], "CUDA_HOME": str(tmp_path)}
    on_cpu = mmcv_wheel.variables(plan.mmcv, env)
    assert (on_cpu["MMCV_WITH_OPS"], on_cpu["FORCE_CUDA"], on_cpu["CUDA_VISIBLE_DEVICES"]) == (
        "1",
        "0",
        "",
    )
    assert on_cpu["CFLAGS"].split()[0] == "-O3", (
        "CFLAGS replace Python's own: what is not said is not done"
    )
    assert (
        mmcv_wheel.variables(plan.mmcv, env | {"CFLAGS": "-O1"})["CFLAGS"]
        == f"{mmcv_wheel.FLAGS} -O1"
    )
    on_gpu = mmcv_wheel.variables(plan.mmcv._replace(cuda=True, archs="8.0;9.0"), env)
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
    words = {"torch": "2.14.1", "torchvision": "", "stack": "openmmlab", "ops": "", "venv": ".venv"}
    made = setup.make_plan(argparse.Namespace(**words), env)
    assert (made.cuda, made.archs, made.torchvision) == (cuda, archs, "auto")


# What is repeated.


def test_a_second_call_does_nothing_and_a_change_alters_the_same_environment(
    plan, installs, capsys
):
    setup.set_up(plan)
    setup.set_up(plan)
    assert installs == [plan]
    assert capsys.readouterr().out.splitlines()[-1] == f"mmext is set up in {plan.venv}"
    before = plan.python.lstat().st_mtime_ns
    setup.set_up(plan._replace(torch="2.13.0"))
    assert [one.torch for one in installs] == ["2.14.1", "2.13.0"]
    assert plan.python.lstat().st_mtime_ns == before


def test_an_interrupted_environment_and_one_of_another_kind_are_made_anew(
    plan, installs, monkeypatch
):
    def cut(plan):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(setup, "install", cut)
        with pytest.raises(KeyboardInterrupt):
            setup.set_up(plan)
    for again in (plan, plan._replace(ops="mmcv"), plan._replace(stack="onedl")):
        (plan.venv / "left").touch()
        setup.set_up(again)
        assert not (plan.venv / "left").exists()
    assert subprocess.run([plan.python, "-c", ""]).returncode == 0


def test_each_file_repeats_the_set_ups_that_depend_on_it(plan, tmp_path, monkeypatch):
    for name in ("requirements", "dev", "mmext"):
        shutil.copytree(
            REPO / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".mim")
        )
    for name in ("pyproject.toml", "setup.py"):
        shutil.copy(REPO / name, tmp_path)
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "REQUIREMENTS", tmp_path / "requirements")
    for file in (
        "pyproject.toml",
        "requirements/shared.txt",
        "dev/environment/prove.py",
        "requirements/onedl.txt",
    ):
        before = setup.stamp(plan)
        with (tmp_path / file).open("a") as text:
            text.write("\n# changed\n")
        assert (setup.stamp(plan) == before) is (file == "requirements/onedl.txt"), file


@pytest.mark.slow
def test_a_real_set_up_survives_kill_and_is_quick_the_second_time(tmp_path):
    torch = importlib.metadata.version("torch").split("+")[0]
    words = [
        sys.executable,
        "-m",
        "dev.environment.setup",
        f"--torch={torch}",
        f"--venv={tmp_path / 'venv'}",
    ]
    begun = subprocess.Popen(
        words, start_new_session=True, stdout=subprocess.PIPE, text=True, cwd=REPO
    )
    while "to download" not in begun.stdout.readline():
        assert begun.poll() is None
    time.sleep(3)  # in the middle of the installation
    os.killpg(begun.pid, signal.SIGKILL)
    begun.wait()
    again = subprocess.run(words, capture_output=True, text=True, cwd=REPO)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "mmaction builds a model" in again.stdout
    assert (
        len(subprocess.run(words, capture_output=True, text=True, cwd=REPO).stdout.splitlines())
        == 1
    )


# What is pinned.


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_an_exact_pin(name):
    for one in lines(name):
        assert re.fullmatch(r"==[\w.]+", str(one.specifier)), f"{one} in requirements/{name}.txt"


@pytest.mark.parametrize("stack", setup.STACKS)
@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize(
    "machine", [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]
)
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


def host_family():
    """The stack that is installed here."""
    names = {one.name for one in importlib.metadata.distributions()}
    return next(stack for stack in setup.STACKS if lines(stack)[0].name in names)


def test_the_lock_holds_all_that_its_packages_ask_for():
    pinned = {
        canonicalize_name(one.name)
        for file in (host_family(), "shared", "dev")
        for one in lines(file)
    }
    # Other names for the OpenCV that is pinned, what only torch may choose, and the corruptions of
    # imaug, which bring numba and which nobody here asks for (requirements/onedl.txt).
    opencv = {"opencv-python", "opencv-contrib-python", "opencv-python-headless"}
    elsewhere = opencv | {"torch", "sympy", "imagecorruptions-imaug"}
    missing = [
        f"{name} asks for {text}"
        # for other machines
        for name in pinned - {"decord2", "eva-decord", "tomli", "exceptiongroup"}
        for text in importlib.metadata.requires(name) or ()
        if is_asked(one := Requirement(text))
        and canonicalize_name(one.name) not in pinned | elsewhere
    ]
    assert missing == []


def test_the_extras_name_the_same_hosts_as_the_lock():
    extras = tomllib.loads((REPO / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for stack in setup.STACKS:
        exact = {text for text in extras[stack] if "==" in text and ";" not in text}
        pins = {
            f"{name}=={version}" for name, version in setup.Plan("", stack, Path()).pins().items()
        }
        assert exact <= pins
        assert next(pin for pin in pins if re.match(r".*mmcv(-lite)?==", pin)) in exact


# The Makefile and CI.


TARGETS = re.findall(r"^([a-z-]+):.*## ", (REPO / "Makefile").read_text(), flags=re.M)
ALONE = {"help", "clean", "test-bare"}  # they need no environment


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_sets_up_the_environment_that_it_uses(target):
    """As ``make --dry-run`` tells it; it goes through to the makes that a target calls."""
    dry = make("--dry-run", target)
    assert dry.returncode == 0, dry.stderr
    set_up: set[str] = set()
    for line in dry.stdout.replace("\\\n", " ").splitlines():
        used = re.match(r"(?:\w+=\S+ )*(\.venv[\w-]*)/bin/", line)
        if used:
            assert used[1] in set_up, f"{line} comes before its set-up"
        set_up.update(re.findall(r'dev\.environment\.setup .*--venv "(\S+)"', line))
    assert bool(set_up) == (target not in ALONE)


def test_make_lists_every_target():
    told = re.findall(r"^([a-z-]+)  ", make("help").stdout, flags=re.M)
    assert told == TARGETS
    assert {"demo", "test", "check", "bench", "data", "test-slow", "evidence", "gpu-check"} <= set(
        TARGETS
    )


def test_the_makefile_takes_the_newest_torch_that_is_tested_and_an_environment_for_each_kind():
    told = {words: make("help", *words.split()).stdout for words in ("", "STACK=onedl", "OPS=mmcv")}
    assert f"TORCH={supported.TORCH} " in told[""]
    assert supported.check_torch(supported.TORCH).status == OK
    folders = [re.search(r"VENV=(\S+)", text).group(1) for text in told.values()]
    assert folders == [".venv", ".venv-onedl", ".venv-mmcv"]


def test_ci_runs_the_checks_and_the_tests_everywhere():
    script = REPO / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = re.findall(
        r"^part \".*?\" (make .*)$", script.read_text().replace("\\\n", ""), flags=re.M
    )
    assert commands[:4] == ["make setup", "make check", "make test", "make test-ops"]
    assert commands[4].startswith("make test STACK=onedl ")
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
