"""Every config loads, names existing parts, builds, and takes one training and one test step."""

import ast
import re

import pytest
import torch
import yaml
from mmengine.config import Config

from tests.contract.parts import ROOT, host_of, name_of

CONFIGS = sorted(path for path in ROOT.glob("configs/**/*.py") if "_base_" not in path.parts)
NAME = re.compile(r"[a-z0-9-]+(_[a-z0-9-]+)+_\d+xb\d+-([a-z]+-)*\d+[xeik]_[a-z0-9-]+")


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_it_takes_a_training_and_a_test_step(path):
    host = host_of(path)
    model = host.build(path)
    size = host.image_size(model)
    loss = host.loss(model, host.batch((2,), size, num_classes=host.num_classes(model)))
    loss.backward()
    assert torch.isfinite(loss)
    host.check_predictions(model, host.predictions(model, host.batch((0,), size)), size)


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_it_reads_as_the_house_asks(path):
    assert NAME.fullmatch(path.stem), (
        f"{path.name}: {{paper}}_{{model}}_{{gpus}}xb{{batch}}-{{schedule}}_{{dataset}}"
    )
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    for part in ("Run ", "Hardware ", "Expected "):
        assert re.search(rf"^{part}", docstring, re.M), f"the docstring of {path.name} lacks {part.strip()!r}"
    assert str(path.relative_to(ROOT)) in docstring or "make demo" in docstring
    bases = Config._get_base_files(str(path))
    assert all("_base_" in base for base in bases), "one step from configs/_base_"


def test_the_model_index_names_every_config_and_no_other():
    index = yaml.safe_load((ROOT / "model-index.yml").read_text())
    models = [m for file in index["Import"] for m in yaml.safe_load((ROOT / file).read_text())["Models"]]
    assert sorted(m["Config"] for m in models) == [str(path.relative_to(ROOT)) for path in CONFIGS]


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("configs/_base_/**/*.py")), ids=lambda p: "/".join(p.parts[-2:])
)
def test_bases_build_on_nothing(path):
    assert Config._get_base_files(str(path)) == []
