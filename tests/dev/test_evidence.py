"""The studies as stated: each arm starts from a config that is there, changes it, and is a pair."""

import importlib.util
import json

import pytest
import torch
from mmengine.config import Config

from dev.evidence import pages
from dev.evidence.provenance import WATCHED, environment
from dev.evidence.runner import Runner
from dev.evidence.start import shared_share, with_aliases
from dev.evidence.studies import STUDIES
from dev.evidence.study import ROOT, Arm, Measure, Study, StudyError, config_hash
from mmext.data_checks.verify import datasets
from tests.contract.parts import host_of

RANGES = "mmext.ScaleValidRange"
ARMS = [(study, arm) for study, one in STUDIES.items() for arm in one.arms]


@pytest.mark.parametrize(("study", "name"), ARMS)
def test_an_arm_s_config_is_there_and_can_be_changed(study, name):
    arm = STUDIES[study].arms[name]
    cfg, before = STUDIES[study].configs[name], Config.fromfile(ROOT / arm.config)
    assert (config_hash(cfg) == config_hash(before)) == (arm.change.__name__ == "unchanged")
    for module in cfg.custom_imports.imports:
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("study", STUDIES)
def test_its_arms_are_different_runs_on_the_same_data(study):
    configs = STUDIES[study].configs.values()
    assert len({config_hash(cfg) for cfg in configs}) == len(configs)
    for split in ("train", "val", "test"):
        loaders = [whole(cfg[f"{split}_dataloader"].to_dict(), study) for cfg in configs]
        assert len(set(loaders)) == 1
    # A control may be trained for longer, or stopped earlier.
    for key in ("train_cfg", "param_scheduler"):
        one, other = (
            STUDIES[study].configs[arm] for arm in (STUDIES[study].baseline, STUDIES[study].claim)
        )
        assert json.dumps(one[key], default=str) == json.dumps(other[key], default=str)


def whole(loader: dict, study: str) -> str:
    """A loader before a list leaves samples out, and at no scale: a study may ask about either."""
    while loader["dataset"]["type"] == "mmext.FilteredDataset":
        loader["dataset"] = loader["dataset"]["dataset"]
    if study == "scale_normalised":
        steps = [one for one in loader["dataset"]["pipeline"] if one["type"] != RANGES]
        for step in steps:
            step["scales"] = len(step.get("scales", ()))  # as many, so that as much is drawn
        loader["dataset"]["pipeline"] = steps
    return json.dumps(loader, default=str)


LENGTHS = {"digits.csv.gz": 1797, "train-labels-idx1-ubyte.gz": 60_000}
"""Of the files of which splits share one."""


@pytest.mark.parametrize("study", STUDIES)
def test_it_is_confirmed_on_images_that_neither_training_nor_choosing_sees(study):
    for cfg in STUDIES[study].configs.values():
        train, val, test = (samples_of(cfg, split) for split in ("train", "val", "test"))
        assert train
        assert val
        assert test
        assert not test & (train | val)
        assert not val & train


def samples_of(cfg: Config, split: str) -> set:
    """What names a split's samples: the files, and the places in one that splits share."""
    found = set()
    for one in datasets(cfg.to_dict(), split):
        file, indices = one.get("ann_file") or "", one.get("indices")
        places: object = range(LENGTHS.get(file.rpartition("/")[2], 1))
        if isinstance(indices, int):
            places = places[:indices] if indices > 0 else places[indices:]
        elif indices is not None:
            places = indices
        found |= {(file, json.dumps(one.get("data_prefix")), place) for place in places}
    return found


@pytest.mark.parametrize("study", STUDIES)
def test_all_its_arms_begin_with_the_same_weights_beside_the_backbone(study):
    stated = STUDIES[study]
    weights = {}
    for name, cfg in stated.configs.items():
        with torch.device("meta"):
            weights[name] = build(ROOT / stated.arms[name].config, cfg).state_dict()
    start = with_aliases(weights[stated.start_arm], stated.aliases)
    shares = {
        name: shared_share(start, own, leave_out="backbone.") for name, own in weights.items()
    }
    assert shares[stated.start_arm] == 1
    assert all(share > 0.35 for share in shares.values()), shares


def build(path, cfg):
    """An arm's model, as its host's registry builds it; nothing is loaded."""
    from mmengine.registry import MODELS, init_default_scope

    host_of(path)  # imports the host
    for module in cfg.custom_imports.imports:
        importlib.import_module(module)
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model)


@pytest.mark.parametrize("study", [name for name, one in STUDIES.items() if len(one.tests) > 1])
def test_a_further_test_asks_for_fewer_pixels_of_the_same_images(
    study, context_scenes, monkeypatch
):
    monkeypatch.chdir(ROOT)  # data roots are relative
    for arm in STUDIES[study].arms:
        whole, fewer = (data_of(STUDIES[study], arm, test) for test in STUDIES[study].tests)
        assert len(whole) == len(fewer) > 0
        for index in range(3):
            sample, other = (one[index]["data_samples"] for one in (whole, fewer))
            assert sample.img_path == other.img_path
            counted = other.gt_sem_seg.data != 255
            assert 0 < counted.sum() < counted.numel() / 2
            assert torch.equal(other.gt_sem_seg.data[counted], sample.gt_sem_seg.data[counted])


def data_of(study: Study, arm: str, test: str):
    """The data set that ``tools/test.py`` builds with the options of one of a study's tests."""
    from mmengine.registry import DATASETS, init_default_scope

    runner = Runner(study, machine={}, work_dir=ROOT)
    cfg = runner.config(arm)
    cfg.merge_from_dict(dict(option.split("=", 1) for option in runner.options(test)))
    host_of(ROOT / study.arms[arm].config)  # imports the host
    init_default_scope(cfg.default_scope)
    return DATASETS.build(cfg.test_dataloader.dataset)


@pytest.mark.parametrize("study", STUDIES)
def test_its_data_are_made_by_tools_that_are_there(study):
    assert STUDIES[study].data
    for words in STUDIES[study].data:
        assert (ROOT / "tools" / "data" / f"{words.split()[0]}.py").is_file()


@pytest.mark.parametrize("study", STUDIES)
def test_its_statement_is_what_json_gives_back(study):
    stated = STUDIES[study].statement()
    assert json.loads(json.dumps(stated)) == stated


def test_names_of_old_studies_are_not_used_again():
    assert not set(STUDIES) & set(pages.superseded())


CONFIG = "configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees.py"
SOUND = dict(
    question="?",
    data_name="data",
    limits="nothing",
    arms={"a": Arm(CONFIG), "b": Arm(CONFIG)},
    baseline="a",
    claim="b",
    primary="AP",
    measures={"AP": Measure("coco/bbox_mAP")},
    data=("trees",),
)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"baseline": "c"}, "name arms"),
        ({"claim": "a"}, "the claim another one than the baseline"),
        ({"start": "c"}, "name arms"),
        ({"pairs": (("a", "c"),)}, "name arms"),
        ({"primary": "AP75"}, "as primary measure, got"),
        ({"measures": {"AP": Measure("coco/bbox_mAP", test="other")}}, "measures of the tests"),
        ({"seeds": (0, 1, 2)}, "6 to 40 different seeds"),
        ({"seeds": (0, 1, 2, 3, 4, 4)}, "6 to 40 different seeds"),
        ({"seeds": tuple(range(95, 103))}, "seeds from 0 to 99"),
        ({"seeds": (-1, 0, 1, 2, 3, 4)}, "seeds from 0 to 99"),
    ],
)
def test_what_could_decide_nothing_cannot_be_stated(wrong, words):
    assert Study(**SOUND).compared == (("b", "a"),)
    with pytest.raises(StudyError, match=words):
        Study(**SOUND | wrong)


def test_an_arm_without_workers_is_no_pair():
    def alone(cfg):
        cfg.train_dataloader.num_workers = 0

    study = Study(**SOUND | {"arms": {"a": Arm(CONFIG), "b": Arm(CONFIG, alone)}})
    with pytest.raises(StudyError, match=r"num_workers of 1 or more, got none.*RandomFlip"):
        study.statement()


def test_an_arm_without_workers_and_pipeline_is_no_pair():
    def unknown(cfg):
        cfg.train_dataloader.num_workers = 0
        del cfg.train_dataloader.dataset.pipeline

    study = Study(**SOUND | {"arms": {"a": Arm(CONFIG), "b": Arm(CONFIG, unknown)}})
    with pytest.raises(StudyError, match=r"got none.*a data set without a pipeline may draw some"):
        study.statement()


def test_an_arm_without_workers_and_without_chance_is_one():
    def plain(cfg):
        cfg.train_dataloader.num_workers = 0
        cfg.train_dataloader.dataset.pipeline = [dict(type="mmext.PackClsInputs")]

    study = Study(**SOUND | {"arms": {"a": Arm(CONFIG), "b": Arm(CONFIG, plain)}})
    assert study.statement()["arms"].keys() == {"a", "b"}


def test_a_run_finds_the_modules_of_dev_and_has_one_thread(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "mine")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert environment()["PYTHONPATH"].split(":") == [str(ROOT), "mine"]
    assert environment()["OMP_NUM_THREADS"] == "1"


def test_what_a_study_depends_on_is_watched():
    for folder in WATCHED:
        assert (ROOT / folder).is_dir()
