"""The studies behind the README's tables: each arm starts from a config that is there, and changes it."""

import importlib.util

import pytest
from mmengine.config import Config

from dev.evidence.run import ROOT, environment
from dev.evidence.studies import STUDIES

ARMS = [(study, arm) for study, one in STUDIES.items() for arm in one.arms]


@pytest.mark.parametrize(("study", "name"), ARMS)
def test_an_arm_s_config_is_there_and_can_be_changed(study: str, name: str) -> None:
    arm = STUDIES[study].arms[name]
    cfg, before = (Config.fromfile(str(ROOT / arm.config), import_custom_modules=False) for _ in range(2))
    arm.change(cfg)
    assert (cfg.to_dict() == before.to_dict()) == (arm.change.__name__ == "unchanged")
    for module in cfg.custom_imports.imports:
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("study", STUDIES)
def test_its_data_are_made_by_tools_that_are_there(study: str) -> None:
    assert STUDIES[study].data
    for name in STUDIES[study].data:
        assert (ROOT / "tools" / "data" / f"{name}.py").is_file()


def test_a_run_finds_the_modules_of_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "mine")
    assert environment()["PYTHONPATH"].split(":") == [str(ROOT), "mine"]
