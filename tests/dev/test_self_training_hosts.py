"""Self-training of a detector and a segmentor: what arms share, what is stated, what is judged."""

import json
import re
from dataclasses import replace

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from dev.evidence.results import RESULTS
from dev.evidence.self_training import hosts, hosts_report
from dev.evidence.self_training.hosts import Trainings
from dev.evidence.self_training.settings import (
    ALONE,
    ARMS,
    LONGER,
    ORACLE,
    PLAIN,
    PRETRAINED,
    SETTINGS,
    STUDENT,
    Cell,
    config,
    start_config,
)
from dev.evidence.study import StudyError
from tests.checkout import REPO
from tests.contract.parts import forget_files

NAMES = tuple(SETTINGS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(hosts, "WORK", tmp_path)
    monkeypatch.chdir(REPO)
    return tmp_path


def arm_of(name, arm, *, develop=False, cell=0):
    setting = SETTINGS[name]
    cells = setting.cells
    return config(setting, cells[cell], arm, 3, develop=develop, pseudo=REPO / "some")


@pytest.mark.parametrize("name", NAMES)
def test_a_seeds_labelled_pictures_are_not_among_the_others(name):
    setting = SETTINGS[name]
    labelled, others = setting.drawn(3)
    assert (len(labelled), len(others)) == (setting.labelled, setting.others)
    assert not set(labelled) & set(others)
    assert max(labelled + others) < setting.pool
    assert setting.drawn(4) != (labelled, others)


@pytest.mark.parametrize("name", NAMES)
def test_arms_differ_in_the_other_half_of_each_batch_alone(name):
    cfgs = {arm: arm_of(name, arm) for arm in ARMS}
    loaders = {arm: cfg.train_dataloader for arm, cfg in cfgs.items()}
    halves = {arm: loader.dataset.datasets for arm, loader in loaders.items()}
    for arm in ARMS:
        assert halves[arm][0] == halves[ALONE][0]
        assert loaders[arm].sampler == loaders[ALONE].sampler
        joint = cfgs[arm].model.type == "mmext.SelfTrainingWrapper"
        assert joint == (arm not in (ALONE, LONGER))
        model = cfgs[arm].model.model if joint else cfgs[arm].model
        assert model == cfgs[ALONE].model
        marked = halves[arm][1].pipeline[-1].type == "mmext.MarkSource"
        assert marked == joint
    assert halves[ALONE][1] == halves[LONGER][1] == halves[ALONE][0]
    assert halves[PLAIN] == halves[STUDENT] != halves[ORACLE]
    assert cfgs[STUDENT].model.loss_norm
    assert not cfgs[PLAIN].model.loss_norm
    assert cfgs[LONGER].train_cfg.max_iters == 2 * cfgs[ALONE].train_cfg.max_iters
    assert len({cfgs[arm].train_cfg.max_iters for arm in ARMS if arm != LONGER}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_study_is_judged_on_pictures_that_the_room_has_not_seen(name):
    room, study = (arm_of(name, ALONE, develop=develop) for develop in (True, False))
    assert room.val_dataloader.dataset.data_prefix != study.val_dataloader.dataset.data_prefix
    assert study.val_dataloader == study.test_dataloader
    assert not set(hosts.SEEDS) & set(hosts.ROOM_SEEDS)
    assert room.train_dataloader == study.train_dataloader


def test_a_start_for_the_segmentor_is_learnt_on_other_pictures_and_the_detectors_is_imagenets():
    assert start_config(SETTINGS["detector"]) is None
    start, own = start_config(SETTINGS["segmentor"]), arm_of("segmentor", ALONE)
    assert start.model.backbone == own.model.backbone
    assert start.model == own.model
    own_root = own.train_dataloader.dataset.datasets[0].data_root
    for split in ("train", "val"):
        assert start[f"{split}_dataloader"].dataset.data_root != own_root
        assert dict(type="OneForeground") in start[f"{split}_dataloader"].dataset.pipeline


def test_an_arm_begins_with_the_controls_weights():
    init_default_scope("mmseg")
    states = []
    for arm in (ALONE, STUDENT):
        cfg = arm_of("segmentor", arm)
        forget_files(cfg.model)
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
        model.init_weights()
        states.append(model.state_dict())
    control, student = states
    assert {key for key in student if key not in control} == {
        "self_training.sums",
        "self_training.weights",
    }
    assert all(torch.equal(value, student[key]) for key, value in control.items())


def counted(seed, cell, arm):
    """Points that the oracle has ten more of, the student two, give or take the seed."""
    extra = {ORACLE: 10.0, STUDENT: 2.0 + (cell.stage == 4)}.get(arm, 0.0)
    return 70.0 + seed % 10 + extra + 0.1 * (seed % 3 if arm != ALONE else 0)


@pytest.fixture
def without_training(folder, monkeypatch):
    """Trainings whose numbers are counted out."""
    done = []

    def run(self, cell, arm, seed):
        done.append((cell.name, arm, seed))
        (self.work(cell, ALONE, seed)).mkdir(parents=True, exist_ok=True)
        more = dict(precision=0.5, recall=None) if arm in (STUDENT, PLAIN) else {}
        return dict(points=counted(seed, cell, arm), **more)

    monkeypatch.setattr(Trainings, "run", run)
    return done


@pytest.mark.parametrize("name", NAMES)
def test_what_has_run_is_not_run_again_and_nothing_is_joined_before_all_is_there(
    name, without_training, capsys
):
    trainings = Trainings(name, develop=False)
    trainings.fill(hosts.SEEDS[:2])
    assert re.findall(r"\d\d\.\d", capsys.readouterr().out) == []  # no points are told
    arms = sum(len(cell.arms) for cell in SETTINGS[name].cells)
    assert len(without_training) == 2 * arms
    with pytest.raises(StudyError, match="expected a run of this statement, got none"):
        hosts.collected(trainings, hosts.SEEDS)
    trainings.fill(hosts.SEEDS)
    assert len(without_training) == len(hosts.SEEDS) * arms
    assert not list(trainings.runs.folder.glob("*/"))  # no teacher is kept
    found = hosts_report.judged(hosts.collected(trainings, hosts.SEEDS), SETTINGS[name].least)
    assert all(one["shows"] for one in found["cells"].values())
    assert found["cells"][SETTINGS[name].cells[0].name]["recall"] == 0.0
    assert found["interaction"][f"self-training, {PRETRAINED}, S4 against S1"]["mean"] == 1.0
    text = hosts_report.outcome(name, found)
    assert "the student is ahead of a net of the labels alone" in text
    assert text.count("\n| ") == len(SETTINGS[name].cells) + 1


@pytest.mark.parametrize("name", NAMES)
def test_the_room_is_the_control_and_the_oracle(name, without_training):
    trainings = Trainings(name, develop=True)
    trainings.fill(hosts.ROOM_SEEDS)
    assert {arm for _, arm, _ in without_training} == {ALONE, ORACLE}
    found = hosts_report.judged(hosts.collected(trainings, hosts.ROOM_SEEDS), SETTINGS[name].least)
    assert "there is room" in hosts_report.known(name, found, None)
    assert "not run yet" in hosts_report.known(name, None, None)
    blind = hosts_report.judged(hosts.collected(trainings, hosts.ROOM_SEEDS), least=99.0)
    assert "cannot show anything here" in hosts_report.known(name, blind, None)


def same_everywhere(name):
    """A room in which no net has learnt anything."""
    points = {key: dict(points=44.3, seconds=1) for key in map(str, hosts.ROOM_SEEDS)}
    cells = {SETTINGS[name].cells[0].name: {ALONE: points, ORACLE: points}}
    return hosts_report.judged(cells, SETTINGS[name].least)


@pytest.mark.parametrize("name", NAMES)
def test_nets_that_learn_nothing_leave_no_room(name):
    said = hosts_report.known(name, same_everywhere(name), None)
    assert "+0.00 (+0.00 to +0.00) points, no paired deviations" in said
    assert "cannot show anything here" in said


@pytest.mark.parametrize(("room", "got"), [(None, "got none"), ("same", "bring too little")])
def test_no_study_runs_without_room(room, got, monkeypatch, capsys):
    found = same_everywhere("detector") if room else None
    monkeypatch.setattr(hosts_report, "published", lambda _: (found, None))
    monkeypatch.setattr(hosts.provenance, "committed", str)
    monkeypatch.setattr(Trainings, "fill", lambda *_: pytest.fail("it ran"))
    with pytest.raises(SystemExit, match=got):
        hosts.main(["detector"])


def test_a_file_of_another_statement_is_run_again(without_training, monkeypatch):
    trainings = Trainings("detector", develop=True)
    trainings.fill(hosts.ROOM_SEEDS[:1])
    file = trainings.runs.file(trainings.runs.arms[1], hosts.ROOM_SEEDS[0])
    file.write_text(json.dumps(json.loads(file.read_text()) | dict(statement={})))
    trainings.fill(hosts.ROOM_SEEDS[:1])
    assert len(without_training) == 3


def test_a_student_without_its_teacher_is_said(folder):
    trainings = Trainings("detector", develop=False)
    with pytest.raises(StudyError, match="expected the control's net, got none; run this again"):
        trainings.label(Cell(PRETRAINED, 1), 0, folder / "pseudo")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_cell_of_few_steps_and_pictures_runs_from_teacher_to_oracle(name, folder, monkeypatch):
    short = replace(SETTINGS[name], steps=22, others=12, half=1)
    short = replace(short, cells=tuple(replace(one, arms=ARMS) for one in short.cells[:1]))
    monkeypatch.setitem(SETTINGS, name, short)
    hosts.statement.cache_clear()
    monkeypatch.setattr(hosts, "config", judged_on_few)
    trainings = Trainings(name, develop=False)
    trainings.fill([0])
    hosts.statement.cache_clear()
    found = hosts.collected(trainings, [0])[short.cells[0].name]
    assert set(found) == set(ARMS)
    assert 0 <= found[STUDENT]["0"]["points"] <= 100
    assert found[STUDENT]["0"]["recall"] == found[PLAIN]["0"]["recall"] >= 0
    assert not list(trainings.runs.folder.glob("*/"))


def judged_on_few(*args, **kwargs):
    cfg = config(*args, **kwargs)
    cfg.val_dataloader.dataset.indices = 10
    return cfg


@pytest.mark.parametrize("name", NAMES)
def test_what_is_published_is_what_is_stated(name):
    assert hosts.statement(name) == json.loads(json.dumps(hosts.statement(name)))
    for end in ("", "_room"):
        file = REPO / RESULTS / f"self_training_{name}{end}.json"
        if file.exists():
            stated, now = json.loads(file.read_text())["statement"], hosts.statement(name)
            assert stated["configs"].keys() == now["configs"].keys()  # bases may change later
            assert {**stated, "configs": 0} == {**now, "configs": 0}
    assert hosts_report.known(name, *hosts_report.published(name))
