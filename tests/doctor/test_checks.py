"""The doctor: healthy here; each known trouble is found in made-up facts, named with its cure."""

import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dev.environment import setup
from mmext.doctor import facts, host_checks, machine_checks, stack_checks, supported
from mmext.doctor.facts import NEEDS, OK, TROUBLE, WARN, Machine, numbers
from mmext.doctor.report import CHECKS
from tests.checkout import REPO, run_script

VERSIONS = {
    "torch": "2.14.1",
    "torchvision": "0.29.1",
    "mmengine": "0.10.7",
    "mmcv-lite": "2.1.0",
    "mmdet": "3.3.0",
    "mmsegmentation": "1.2.2",
    "mmaction2": "1.2.0",
    "numpy": "2.4.6",
    "setuptools": "80.10.2",
    "opencv-contrib-python-headless": "4.14.0.94",
    "yapf": "0.43.0",
}
HEALTHY = Machine(
    python=(3, 11, 7),
    versions=VERSIONS,
    importable=frozenset({"mmext", "pkg_resources", *NEEDS, *stack_checks.IMPORTS}),
    errors=dict.fromkeys(
        (
            "torch",
            "torchvision",
            "mmengine",
            "mmcv._ext",
            "operators",
            "mmdet",
            "mmseg",
            "operators on CUDA",
        ),
        "",
    ),
    served={"nms": "torchvision", "carafe": "torch"},
    parts=frozenset({"mmcv/ops"}),
    facts={
        "distributed": "True",
        "numpy_gone": "float, trapz",
        "torch_cuda": "13.0",
        "torch_archs": "sm_80 sm_90",
    },
    devices=("9.0",),
    free_gb=50,
    drn_missing=True,
)


def having(**versions):
    """A healthy machine with other distributions; None takes one away, underscores mean hyphens."""
    changed = {
        **VERSIONS,
        **{name.replace("_", "-"): version for name, version in versions.items()},
    }
    return HEALTHY._replace(
        versions={name: version for name, version in changed.items() if version}
    )


def failing(**errors):
    return HEALTHY._replace(errors={**HEALTHY.errors, **errors})


def knowing(**facts):
    return HEALTHY._replace(facts={**HEALTHY.facts, **facts})


def without(*names):
    return HEALTHY._replace(importable=HEALTHY.importable - set(names))


ONEDL = having(
    mmengine=None,
    mmcv_lite=None,
    mmdet=None,
    mmsegmentation=None,
    onedl_mmengine="0.10.12",
    onedl_mmcv="2.3.6",
    onedl_mmdetection="3.5.1",
    onedl_mmsegmentation="1.4.2",
)
LITE_BESIDE = having(mmcv="2.1.0", mmcv_lite="2.1.0")
OTHER_EXTENSION = failing(
    **{"mmcv._ext": "ImportError: undefined symbol: _ZN3c106detail"}
)._replace(parts=frozenset({"mmcv/ops", "mmcv/_ext"}))

CASES = [
    (stack_checks.check_python, HEALTHY._replace(python=(3, 9)), TROUBLE, "PYTHON="),
    (stack_checks.check_python, HEALTHY._replace(python=(3, 14)), TROUBLE, "PYTHON="),
    (stack_checks.check_torch, having(torch=None), TROUBLE, "make setup"),
    (stack_checks.check_torch, having(torch="2.3.1"), TROUBLE, "TORCH=2.14.1"),
    (
        stack_checks.check_torch,
        having(torch="2.15.0.dev20261120"),
        WARN,
        "TORCH=2.14.1 if it fails",
    ),
    (stack_checks.check_torch, failing(torch="OSError: libcudart"), TROUBLE, "make setup"),
    (stack_checks.check_pair, having(torchvision="0.28.0"), TROUBLE, "'torchvision==0.29.*'"),
    (
        stack_checks.check_pair,
        having(torch="2.13.0+cpu", torchvision="0.28.0"),
        TROUBLE,
        "uninstall -y torchvision",
    ),
    (
        stack_checks.check_pair,
        failing(torchvision="RuntimeError: operator torchvision::nms does not exist"),
        TROUBLE,
        "uninstall -y torchvision",
    ),
    (
        stack_checks.check_distributed,
        knowing(distributed="False"),
        TROUBLE,
        "force-reinstall torch",
    ),
    (stack_checks.check_families, having(onedl_mmengine="0.10.12"), TROUBLE, "STACK=onedl"),
    (stack_checks.check_families, LITE_BESIDE, TROUBLE, "OPS=mmcv"),
    (stack_checks.check_halves, without("mmdet"), TROUBLE, "make setup"),
    (stack_checks.check_halves, having(mmcv_lite=None), TROUBLE, "make setup"),
    (stack_checks.check_halves, HEALTHY._replace(parts=frozenset()), TROUBLE, "make setup"),
    (
        stack_checks.check_halves,
        having(mmengine=None)._replace(importable=HEALTHY.importable - {"mmengine"}),
        TROUBLE,
        "make setup",
    ),
    (stack_checks.check_mmengine, having(mmengine=None), TROUBLE, "make setup"),
    (stack_checks.check_mmengine, failing(mmengine="ImportError: x"), TROUBLE, "make setup"),
    (
        stack_checks.check_upper_bound,
        having(mmcv_lite=None, mmcv="2.2.0"),
        TROUBLE,
        "mmcv-lite==2.1.0",
    ),
    (stack_checks.check_upper_bound, ONEDL._replace(importable=frozenset()), TROUBLE, "mmext"),
    (stack_checks.check_hosts, having(mmsegmentation=None), WARN, "make setup"),
    (
        stack_checks.check_hosts,
        failing(mmseg="AssertionError: MMCV==2.2.0 is used"),
        TROUBLE,
        "make setup",
    ),
    (stack_checks.check_wish, HEALTHY._replace(wanted="fast"), TROUBLE, "unset MMEXT_OPS"),
    (stack_checks.check_wish, HEALTHY._replace(wanted="mmcv"), TROUBLE, "OPS=mmcv"),
    (
        stack_checks.check_wish,
        having(torchvision=None)._replace(wanted="torchvision"),
        TROUBLE,
        "unset MMEXT_OPS",
    ),
    (machine_checks.check_operators, having(mmcv_lite=None), TROUBLE, "make setup"),
    (machine_checks.check_operators, without("mmext"), TROUBLE, "make setup"),
    (machine_checks.check_operators, failing(operators="ImportError: x"), TROUBLE, "make setup"),
    (
        machine_checks.check_operators,
        HEALTHY._replace(served={"nms": "torch", "carafe": ""}),
        WARN,
        "OPS=mmcv",
    ),
    (machine_checks.check_extension, OTHER_EXTENSION, TROUBLE, "OPS=mmcv"),
    (host_checks.check_drn, without("mmext"), TROUBLE, "mmext"),
    (host_checks.check_weights_only, without("mmext"), TROUBLE, "torch<2.6"),
    (host_checks.check_setuptools, without("pkg_resources"), TROUBLE, "setuptools<81"),
    (host_checks.check_numpy_names, without("mmext"), TROUBLE, "numpy==1.26.4"),
    (host_checks.check_undeclared, without("ftfy", "regex"), TROUBLE, "pip install ftfy regex"),
    (host_checks.check_undeclared, without("decord"), TROUBLE, "eva-decord"),
    (
        host_checks.check_opencv,
        having(opencv_python="5.0.0.93"),
        WARN,
        "pip uninstall -y opencv-python ",
    ),
    (
        host_checks.check_opencv,
        having(opencv_python="4.11.0.86"),
        WARN,
        "pip uninstall -y opencv-python ",
    ),
    (host_checks.check_opencv, failing(cv2="ImportError: libGL.so.1"), TROUBLE, "headless<5"),
    (
        host_checks.check_opencv,
        having(opencv_contrib_python_headless="5.0.0.93"),
        WARN,
        "headless<5",
    ),
    (host_checks.check_opencv, having(opencv_contrib_python_headless=None), TROUBLE, "headless<5"),
    (
        host_checks.check_clashes,
        having(mmengine="0.10.5", transformers="4.50.0"),
        TROUBLE,
        "mmengine==0.10.7",
    ),
    (host_checks.check_clashes, having(mmengine="0.8.5"), TROUBLE, "mmengine==0.10.7"),
    (
        host_checks.check_clashes,
        having(openmim="0.3.9")._replace(python=(3, 12)),
        TROUBLE,
        "uninstall -y openmim",
    ),
    (
        host_checks.check_clashes,
        having(mmpose="1.3.2", matplotlib="3.10.0"),
        TROUBLE,
        "matplotlib<3.10",
    ),
    (machine_checks.check_cuda, knowing(torch_cuda="None"), WARN, "TORCH="),
    (machine_checks.check_cuda, HEALTHY._replace(devices=("12.0",)), TROUBLE, "make setup"),
    (
        machine_checks.check_cuda,
        failing(**{"operators on CUDA": "no kernel image"}),
        TROUBLE,
        "MMEXT_OPS=torch",
    ),
    (
        machine_checks.check_pip_cache,
        HEALTHY._replace(cached=("mmcv-2.1.0-cp311.whl",)),
        WARN,
        "cache remove mmcv",
    ),
    (machine_checks.check_disk, HEALTHY._replace(free_gb=1.0), WARN, "room"),
]


@pytest.fixture(autouse=True)
def on_x86(monkeypatch):
    """Where an untagged torch is one for CUDA."""
    monkeypatch.setattr(supported, "untagged_is_cuda", lambda: True)


@pytest.mark.parametrize(("check", "machine", "status", "cure"), CASES)
def test_every_trouble_is_found_and_its_cure_named(check, machine, status, cure, monkeypatch):
    monkeypatch.setattr(facts, "OURS", True)
    found = check(machine)
    assert found.status == status
    assert cure in found.cure
    assert check(HEALTHY).status == OK


@pytest.mark.parametrize("checkout", [True, False])
@pytest.mark.parametrize(("check", "machine"), [case[:2] for case in CASES])
def test_an_environment_of_somebody_else_s_is_not_thrown_away(
    check, machine, checkout, monkeypatch
):
    monkeypatch.setattr(facts, "OURS", False)
    monkeypatch.setattr(facts, "CHECKOUT", checkout)
    cure = check(machine).cure
    assert cure
    assert "make setup" not in cure
    assert "rm -rf" not in cure
    if "[openmmlab]" in cure:
        assert ("'.[openmmlab]'" in cure) is checkout


def test_only_what_make_setup_has_made_is_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "CHECKOUT", True)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert facts.made_here() is False
    (tmp_path / setup.STAMP).touch()
    assert facts.made_here() is True
    monkeypatch.setattr(facts, "CHECKOUT", False)
    assert facts.made_here() is False


@pytest.mark.parametrize(
    ("venv_name", "cure"),
    [
        (".venv", "rm -rf .venv; make setup TORCH=2.8.0"),
        (".venv-onedl", "rm -rf .venv-onedl; make setup STACK=onedl TORCH=2.8.0"),
        (".venv-mmcv", "rm -rf .venv-mmcv; make setup OPS=mmcv TORCH=2.8.0"),
        ("mine", "rm -rf mine; make setup VENV=mine TORCH=2.8.0"),
    ],
)
def test_an_own_environment_is_made_anew_as_it_was(venv_name, cure, tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "CHECKOUT", True)
    monkeypatch.setattr(facts, "ROOT", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / venv_name))
    (tmp_path / venv_name).mkdir()
    (tmp_path / venv_name / setup.STAMP).touch()
    assert facts.fresh(True, TORCH="2.8.0") == cure


@pytest.mark.parametrize("extra", ["openmmlab", "onedl"])
def test_an_installation_by_the_book_has_no_trouble(extra):
    declared = [Requirement(line) for line in metadata.requires("mmext")]
    wanted = [one for one in declared if not one.marker or one.marker.evaluate({"extra": extra})]
    newest = {"numpy": "2.4.6", "torch": "2.14.1", "setuptools": "80.10.2"}
    versions = {
        one.name.lower().replace("_", "-"): next(
            (pin.version for pin in one.specifier if pin.operator == "=="),
            newest.get(one.name, "4.14.0.94" if "opencv" in one.name else "1.0"),
        )
        for one in wanted
    }
    assert {"opencv-python", "opencv-contrib-python"} < set(versions), (
        "the case that was called a trouble"
    )
    machine = HEALTHY._replace(
        versions=versions, importable=HEALTHY.importable - {"torchvision"}, served={"nms": "torch"}
    )
    assert [found for found in (check(machine) for check in CHECKS) if found.status != OK] == []


def test_every_check_has_a_case_in_which_it_fails():
    assert {case[0] for case in CASES} == set(CHECKS)


def test_the_forks_alone_are_in_order():
    found = {check: check(ONEDL) for check in CHECKS}
    assert [one.name for one in found.values() if one.status == TROUBLE] == []


@pytest.mark.parametrize(
    ("device", "archs", "runs"),
    [
        ("9.0", ["sm_80"], False),
        ("8.6", ["sm_80"], True),
        ("8.0", ["sm_86"], False),
        ("12.0", ["sm_90", "compute_90"], True),
        ("10.0", ["sm_100a"], True),
        ("9.0", ["sm_120", "compute_120"], False),
    ],
)
def test_kernels_run_on_their_own_generation_or_from_older_portable_code(device, archs, runs):
    assert machine_checks.has_kernels(device, archs) is runs


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2.13.0+cpu", (2, 13, 0)), ("0.10.12", (0, 10, 12)), ("dev", ()), ("2.0rc4", (2, 0))],
)
def test_versions_compare_by_their_leading_numbers(version, expected):
    assert numbers(version) == expected


def test_this_environment_is_healthy():
    result = run_script("doctor.py")
    assert result.returncode == 0, result.stdout
    assert "\n0 troubles, " in result.stdout


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A Python without any package, not even pip."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


def doctor(python, **environment):
    command = [python, REPO / "tools" / "doctor.py"]
    return subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **environment}
    )


def test_without_any_package_it_names_what_is_missing_and_exits_with_1(bare):
    result = doctor(bare)
    assert result.returncode == 1
    assert "trouble  torch: not installed" in result.stdout
    assert "trouble  mmengine: not installed" in result.stdout
    assert "    pip install '.[openmmlab]'" in result.stdout
    assert "rm -rf" not in result.stdout  # this Python is not of make setup's
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "raise ImportError('undefined symbol: _ZN3c10')",
            "ImportError: undefined symbol: _ZN3c10",
        ),
        ("import os; os.abort()", "the process died"),
    ],
)
def test_a_broken_host_is_reported_even_if_it_crashes_python(bare, tmp_path, code, said):
    (tmp_path / "mmcv").mkdir()
    (tmp_path / "mmcv" / "__init__.py").touch()
    (tmp_path / "mmcv" / "_ext.py").write_text(code)
    info = tmp_path / "mmcv-2.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mmcv\nVersion: 2.1.0\n")
    result = doctor(bare, PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    line = next(line for line in result.stdout.splitlines() if "mmcv's extension" in line)
    assert line.startswith("trouble")
    assert said in line
