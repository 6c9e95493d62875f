"""Every config loads and builds, and each type takes a training and a test step in one of them."""

import ast
import re
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DATASETS, TRANSFORMS

from tests.contract.parts import ROOT, host_of, name_of, small_configs

CONFIGS = sorted(path for path in ROOT.glob("configs/**/*.py") if "_base_" not in path.parts)
METAFILES = sorted(ROOT.glob("configs/*/*/metafile.yml"))
NAME = re.compile(
    r"[a-z0-9-]+(_[a-z0-9-]+)+_\d+xb\d+-(\d+x\d+x\d+-)?([a-z]+-)*\d+[xeik]_[a-z0-9-]+"
)


@cache
def steppers() -> frozenset[Path]:
    """Configs whose head, sampler or detector is of a type which no other takes a step with.

    Backbones and necks are the hosts' in these, or in the contract suite. The small ones come
    first, since that trains them; 101 layers come last.
    """
    seen = {one for path in small_configs() for one in types_in(path)}
    found = set()
    for path in sorted(CONFIGS, key=lambda path: ("101" in path.stem, path)):
        if types_in(path) - seen:
            found.add(path)
            seen |= types_in(path)
    return frozenset(found)


@cache
def types_in(path: Path) -> frozenset[str]:
    """What a config's model is made of, but for its backbone and neck; a wrapper is looked into."""
    model = Config.fromfile(path).model
    inner = model.get("model", model)
    parts = {key: value for key, value in inner.items() if key not in ("backbone", "neck")}
    return frozenset({model.type, *kinds(parts)})


def kinds(cfg):
    """Every ``type`` in a config."""
    if isinstance(cfg, dict) and isinstance(cfg.get("type"), str):
        yield cfg["type"]
    for value in cfg.values() if isinstance(cfg, dict) else cfg:
        if isinstance(value, dict | list | tuple):
            yield from kinds(value)


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_it_builds_and_takes_a_step_if_it_brings_a_type(path):
    host = host_of(path)
    if path not in steppers():
        with torch.device("meta"):
            assert sum(p.numel() for p in host.build(path, init=False).parameters()) > 1e3
        return
    model = host.build(path)
    size = host.image_size(model)
    loss = host.loss(model, host.batch((2,), size, num_classes=host.num_classes(model)))
    loss.backward()
    assert torch.isfinite(loss)
    host.check_predictions(model, host.predictions(model, host.batch((0,), size)), size)


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_its_data_are_complete(path):
    """A config joins its data set and its pipeline itself where each has a base of its own."""
    cfg = Config.fromfile(path)
    with ExitStack() as scope:
        datasets, transforms = (
            scope.enter_context(registry.switch_scope_and_registry(cfg.default_scope))
            for registry in (DATASETS, TRANSFORMS)
        )
        loaders = [cfg[f"{split}_dataloader"] for split in ("train", "val", "test")]
        for dataset in [one for loader in loaders for one in inner_datasets(loader.dataset)]:
            assert datasets.get(dataset.type), f"no data set {dataset.type}"
            assert dataset.get("ann_file") or dataset.data_prefix
            assert [transforms.build(transform) for transform in dataset.pipeline]


def inner_datasets(dataset):
    """The data sets that read files, looking inside wrappers."""
    inner = [dataset.dataset] if "dataset" in dataset else dataset.get("datasets")
    return [one for part in inner for one in inner_datasets(part)] if inner else [dataset]


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_it_reads_as_the_house_asks(path):
    assert NAME.fullmatch(path.stem), (
        f"{path.name}: {{paper}}_{{model}}_{{gpus}}xb{{batch}}-{{schedule}}_{{dataset}}"
    )
    thousands = re.search(r"\d000i_", path.stem)
    assert not thousands, f"{path.name}: expected thousands of iterations as k, got {thousands[0]}"
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    for part in ("Run ", "Hardware ", "Expected "):
        assert re.search(rf"^{part}", docstring, re.M), (
            f"the docstring of {path.name} lacks {part.strip()!r}"
        )
    assert str(path.relative_to(ROOT)) in docstring or "make demo" in docstring
    bases = Config._get_base_files(str(path))
    assert all("_base_" in base for base in bases), "one step from configs/_base_"


def test_the_model_index_imports_every_metafile():
    index = yaml.safe_load((ROOT / "model-index.yml").read_text())["Import"]
    assert sorted(index) == [str(path.relative_to(ROOT)) for path in METAFILES]


@pytest.mark.parametrize("path", METAFILES, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_a_metafile_names_its_paper_and_every_config_beside_it(path):
    meta = yaml.safe_load(path.read_text())
    readme = path.with_name("README.md")
    for collection in meta["Collections"]:
        assert collection["README"] == str(readme.relative_to(ROOT))
        assert collection["Paper"]["URL"] in readme.read_text()
    beside = [config for config in CONFIGS if config.parent == path.parent]
    assert {(model["Name"], model["Config"]) for model in meta["Models"]} == {
        (f"mmext_{config.stem}", str(config.relative_to(ROOT))) for config in beside
    }
    collections = {collection["Name"] for collection in meta["Collections"]}
    assert {model["In Collection"] for model in meta["Models"]} == collections


def test_collections_and_models_bear_different_names():
    metas = [yaml.safe_load(path.read_text()) for path in METAFILES]
    for kind in ("Collections", "Models"):
        names = [entry["Name"] for meta in metas for entry in meta[kind]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("configs/_base_/**/*.py")), ids=lambda p: "/".join(p.parts[-2:])
)
def test_bases_build_on_nothing(path):
    assert Config._get_base_files(str(path)) == []
