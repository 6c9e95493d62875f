"""The doctor: healthy here, and every trouble it knows is found in made-up facts and named with its cure."""

import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools.conftest import REPO, run_script

sys.path.append(str(REPO / "tools"))  # its scripts import their neighbours by plain name

import doctor_checks as checks
from doctor_facts import NEEDS, OK, TROUBLE, WARN, Machine, numbers

VERSIONS = {
    "torch": "2.13.0+cpu",
    "mmengine": "0.10.7",
    "mmcv": "2.1.0",
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
    importable=frozenset({"mmext", "pkg_resources", *NEEDS}),
    errors=dict.fromkeys(
        ("torch", "numpy", "mmengine", "mmcv._ext", "mmdet", "mmseg", "mmaction", "mmcv on CUDA"), ""
    ),
    facts={
        "distributed": "True",
        "numpy_gone": "float, trapz",
        "torch_cuda": "13.0",
        "torch_archs": "sm_80 sm_90",
    },
    devices=("9.0",),
    compiler="c++",
    free_gb=50,
    drn_missing=True,
)


def having(**versions):
    """The healthy machine with other distributions; None takes one away, underscores stand for hyphens."""
    changed = {**VERSIONS, **{name.replace("_", "-"): version for name, version in versions.items()}}
    return replace(HEALTHY, versions={name: version for name, version in changed.items() if version})


def failing(**errors):
    return replace(HEALTHY, errors={**HEALTHY.errors, **errors})


def knowing(**facts):
    return replace(HEALTHY, facts={**HEALTHY.facts, **facts})


def without(*names):
    return replace(HEALTHY, importable=HEALTHY.importable - set(names))


ONEDL = having(
    mmengine=None,
    mmcv=None,
    mmdet=None,
    mmsegmentation=None,
    onedl_mmengine="0.10.12",
    onedl_mmcv="2.3.6",
    onedl_mmdetection="3.5.1",
    onedl_mmsegmentation="1.4.2",
)
NO_OPS = failing(**{"mmcv._ext": "ModuleNotFoundError: No module named 'mmcv._ext'"})

CASES = [
    (checks.check_python, replace(HEALTHY, python=(3, 14)), TROUBLE, "PYTHON="),
    (checks.check_torch, having(torch=None), TROUBLE, "TORCH=2.13.0"),
    (checks.check_torch, having(torch="2.3.1"), TROUBLE, "TORCH=2.13.0"),
    (checks.check_torch, having(torch="2.14.1"), TROUBLE, "TORCH=2.13.0"),
    (checks.check_torch, failing(torch="OSError: libcudart"), TROUBLE, "TORCH=2.13.0"),
    (checks.check_distributed, knowing(distributed="False"), TROUBLE, "force-reinstall torch"),
    (checks.check_families, having(onedl_mmengine="0.10.12"), TROUBLE, "rm -rf .venv; make setup"),
    (checks.check_mmengine, having(mmengine=None), TROUBLE, "make setup"),
    (checks.check_mmengine, failing(mmengine="ImportError: x"), TROUBLE, "make setup"),
    (checks.check_ops, NO_OPS, TROUBLE, "--no-build-isolation --no-cache-dir"),
    (checks.check_ops, having(mmcv=None), TROUBLE, "make setup"),
    (checks.check_ops, having(mmcv=None, mmcv_lite="2.1.0"), TROUBLE, "make setup"),
    (checks.check_upper_bound, having(mmcv="2.2.0"), TROUBLE, "mmcv==2.1.0"),
    (checks.check_upper_bound, ONEDL, WARN, "STACK=openmmlab"),
    (checks.check_hosts, having(mmsegmentation=None), WARN, "make setup"),
    (checks.check_hosts, failing(mmseg="AssertionError: MMCV==2.2.0 is used"), TROUBLE, "make setup"),
    (checks.check_drn, without("mmext"), TROUBLE, "mmext"),
    (checks.check_weights_only, without("mmext"), TROUBLE, "torch<2.6"),
    (checks.check_setuptools, without("pkg_resources"), TROUBLE, "setuptools<81"),
    (checks.check_numpy_names, without("mmext"), TROUBLE, "numpy==1.26.4"),
    (checks.check_undeclared, without("ftfy", "regex"), TROUBLE, "pip install ftfy regex"),
    (checks.check_undeclared, without("decord"), TROUBLE, "eva-decord"),
    (checks.check_opencv, having(opencv_python="5.0.0.93"), TROUBLE, "pip uninstall -y opencv-python "),
    (checks.check_opencv, having(opencv_contrib_python_headless="5.0.0.93"), WARN, "headless<5"),
    (checks.check_opencv, having(opencv_contrib_python_headless=None), TROUBLE, "headless<5"),
    (checks.check_clashes, having(mmengine="0.10.5", transformers="4.50.0"), TROUBLE, "mmengine==0.10.7"),
    (checks.check_clashes, having(mmengine="0.8.5"), TROUBLE, "mmengine==0.10.7"),
    (checks.check_clashes, replace(having(openmim="0.3.9"), python=(3, 12)), TROUBLE, "uninstall -y openmim"),
    (checks.check_clashes, having(mmpose="1.3.2", matplotlib="3.10.0"), TROUBLE, "matplotlib<3.10"),
    (checks.check_compiler, replace(HEALTHY, compiler=None), WARN, "g++"),
    (checks.check_compiler, replace(NO_OPS, compiler=None), TROUBLE, "g++"),
    (checks.check_cuda, knowing(torch_cuda="None"), WARN, "TORCH="),
    (checks.check_cuda, replace(HEALTHY, devices=("12.0",)), TROUBLE, "make setup"),
    (checks.check_cuda, failing(**{"mmcv on CUDA": "no kernel image"}), TROUBLE, "MMEXT_CUDA=1"),
    (
        checks.check_pip_cache,
        replace(HEALTHY, cached=("mmcv-2.1.0-cp311.whl",)),
        WARN,
        "pip cache remove mmcv",
    ),
    (checks.check_disk, replace(HEALTHY, free_gb=1.0), WARN, "room"),
]


@pytest.mark.parametrize(("check", "machine", "status", "cure"), CASES)
def test_every_trouble_is_found_and_its_cure_named(check, machine, status, cure):
    found = check(machine)
    assert found.status == status
    assert cure in found.cure
    assert check(HEALTHY).status == OK


def test_every_check_has_a_case_in_which_it_fails():
    assert {case[0] for case in CASES} == set(checks.CHECKS)


def test_the_forks_alone_are_in_order():
    found = {check: check(ONEDL) for check in checks.CHECKS}
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
    assert checks.has_kernels(device, archs) is runs


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
    assert "    rm -rf .venv; make setup" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ImportError('undefined symbol: _ZN3c10')", "ImportError: undefined symbol: _ZN3c10"),
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
    line = next(line for line in result.stdout.splitlines() if "mmcv's ops" in line)
    assert line.startswith("trouble")
    assert said in line
