"""Broken environments, of folders and names: import, set-up and doctor say the same of each."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dev.environment import setup
from mmext.doctor import at_import, supported
from tests.checkout import REPO

STACK = {"torch": "2.14.1", "mmengine": "0.10.7", "mmcv_lite": "2.1.0", "mmdet": "3.3.0"}
PACKAGES = ("torch", "mmengine", "mmcv", "mmcv/ops", "mmdet")

BROKEN = {
    "torchvision of another build": (
        {"torch": "2.13.0+cpu", "torchvision": "0.28.0"},
        ["torchvision"],
        (
            r"torchvision: expected the same build as torch 2\.13\.0\+cpu, got 0\.28\.0; "
            r"do: pip uninstall -y"
        ),
    ),
    "torchvision of another series": (
        {"torchvision": "0.28.0"},
        ["torchvision"],
        (
            r"torchvision: expected 0\.29\.\* beside torch 2\.14\.1, got 0\.28\.0; "
            r"do: pip install .*0\.29\.\*"
        ),
    ),
    "record without a package": (
        {"mmsegmentation": "1.2.2"},
        [],
        (
            r"installation: expected whole packages.*mmsegmentation is recorded.* "
            r"no package mmseg; do: "
        ),
    ),
    "package without a record": (
        {"mmdet": None},
        [],
        (
            r"installation: expected whole packages.*package mmdet, "
            r"but no record of its installation; do: "
        ),
    ),
    "mmcv without its operators' folder": (
        {},
        ["-mmcv/ops"],
        r"installation: expected whole packages.*mmcv has no folder mmcv/ops.*; do: ",
    ),
    "host without its partner": (
        {"mmcv_lite": None},
        ["-mmcv/ops", "-mmcv"],
        r"installation: expected whole packages.*mmdet needs mmcv, which is missing; do: ",
    ),
    "both families": (
        {"onedl_mmengine": "0.10.12"},
        [],
        (
            r"host family: expected one family, got .* and onedl-mmengine, .*; "
            r"do: .*(?:STACK=onedl|\[onedl\])"
        ),
    ),
    "two editions of mmcv": (
        {"mmcv": "2.1.0"},
        [],
        r"host family: expected one mmcv, got mmcv and mmcv-lite.*; do: .*(?:OPS=mmcv|--no-build-)",
    ),
}


def furnish(site: Path, versions=None, packages=()) -> Path:
    """Lay out folders as pip would for a healthy stack, with changes: ``-name`` omits a package."""
    for name, version in {**STACK, **(versions or {})}.items():
        if version:
            (site / f"{name}-{version}.dist-info").mkdir(parents=True)
    for name in (*PACKAGES, *packages):
        if f"-{name}" not in packages and not name.startswith("-"):
            (site / name).mkdir(parents=True)
            (site / name / "__init__.py").touch()
    return site


@pytest.fixture(autouse=True)
def on_x86(monkeypatch):
    """Where an untagged torch is one for CUDA."""
    monkeypatch.setattr(supported, "untagged_is_cuda", lambda: True)


def by_import(site, monkeypatch):
    code = f"import sys; sys.path[:0] = [{str(REPO)!r}, {str(site)!r}]; import mmext"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True
    ).stderr


def by_set_up(site, monkeypatch):
    plan = setup.Plan("2.14.1", "openmmlab", site.parent)
    plan.python.parent.mkdir(parents=True)
    plan.python.touch()
    (plan.venv / setup.STAMP).write_text(setup.stamp(plan))
    monkeypatch.setattr(setup, "site_packages", lambda plan: [str(site)])
    with pytest.raises(setup.Stop) as stop:
        setup.set_up(plan)
    return str(stop.value)


def by_doctor(site, monkeypatch):
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site)}
    command = [sys.executable, "-S", REPO / "tools" / "doctor.py"]
    told = subprocess.run(command, capture_output=True, text=True, env=env)
    assert told.returncode == 1
    details = dict(re.findall(r"^trouble +(.+?): (.*)$", told.stdout, flags=re.M))
    cures = dict(re.findall(r"^trouble: (.+)\n +(.*)$", told.stdout, flags=re.M))
    return "\n".join(f"{name}: {detail}; do: {cures[name]}" for name, detail in details.items())


@pytest.mark.parametrize("way", [by_import, by_set_up, by_doctor])
@pytest.mark.parametrize("name", BROKEN)
def test_import_set_up_and_doctor_say_the_same_sentence(name, way, tmp_path, monkeypatch):
    if way is not by_set_up and "another build" in name and sys.platform == "darwin":
        pytest.skip("an untagged torch is no CUDA build here")
    versions, packages, sentence = BROKEN[name]
    said = way(furnish(tmp_path / "site-packages", versions, packages), monkeypatch)
    assert len(re.findall(sentence, said)) == 1, said
    assert "Traceback" not in said


def test_a_whole_environment_is_passed_in_silence(tmp_path):
    site = furnish(tmp_path / "site-packages", {"torchvision": "0.29.1"}, ["torchvision"])
    assert at_import.troubles(at_import.look([str(site)], (3, 13))) == []


@pytest.mark.parametrize(
    ("python", "wanted", "sentence"),
    [
        ((3, 9), "", "Python: expected 3.10 to 3.13, got 3.9; do: "),
        ((3, 14), "", "Python: expected 3.10 to 3.13, got 3.14; do: "),
        (
            (3, 11),
            "fast",
            "MMEXT_OPS: expected one of mmcv, torchvision, torch, off, or nothing, got fast; do: ",
        ),
        (
            (3, 11),
            "mmcv",
            "MMEXT_OPS: =mmcv expects mmcv's compiled extension, and there is none; do: ",
        ),
    ],
)
def test_another_python_and_an_impossible_wish_are_named(python, wanted, sentence, tmp_path):
    (said,) = at_import.troubles(at_import.look([str(furnish(tmp_path))], python, wanted))
    assert said.startswith(sentence)


def test_an_old_python_cannot_import_mmext():
    with pytest.raises(ImportError, match=r"expected 3\.10 to 3\.13, got 3\.8; do: .*python3\.12"):
        at_import.require_python((3, 8))
    at_import.require_python((3, 14))  # may work: it is only warned of


def test_the_look_at_import_imports_nothing_of_the_stack(tmp_path):
    code = (
        "import sys; from mmext.doctor import at_import; at_import.warnings(); print(*sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env
    ).stdout.split()
    assert not {"torch", "torchvision", "mmengine", "mmcv", "numpy", "subprocess"} & set(loaded)
