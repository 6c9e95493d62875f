"""The runner: what it reuses, refuses and publishes; and one rehearsal with the stock tools.

But for the rehearsal the tools are played by a function, so that a study takes no time.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from dev.evidence import provenance, results, run, runner, tables
from dev.evidence.study import Arm, Measure, Study, StudyError
from tests.checkout import REPO
from tests.dev.toy_task import CONFIG

MACHINE = dict(processor="made up", threads=1, device="CPU", versions={"torch": "2"})


def with_extra(cfg):
    cfg.model.extra = True


def slower(cfg):
    cfg.optim_wrapper.optimizer.lr = 0.001


def stated(folder, **changes):
    """A study of two arms with configs in a folder."""
    config = folder / "toy.py"
    config.write_text(CONFIG)
    usual = dict(
        question="Does a second line help?",
        data_name="points",
        limits="anything else",
        arms={"one line": Arm(str(config)), "two lines": Arm(str(config), with_extra)},
        baseline="one line",
        claim="two lines",
        primary="score",
        measures={"score": Measure("toy/score")},
        data=(),
        seeds=tuple(range(6)),
    )
    return Study(**usual | changes)


class Tools:
    """Stands in for the stock tools: leaves the files they leave, remembers what it was asked."""

    def __init__(self):
        self.trained = []

    def __call__(self, log, *command):
        words = list(map(str, command))
        log.write_text("played")
        if "dev.evidence.start" in words:
            torch.save({"state_dict": {"line.weight": torch.zeros(1, 1)}}, words[4])
        elif "train.py" in words[0]:
            folder, seed = Path(words[3]), int(words[5])
            cfg = Config.fromfile(words[1], import_custom_modules=False)
            assert Path(cfg.load_from).is_file()
            weights = {"line.weight": torch.ones(1, 1), "line.bias": torch.ones(1)}
            torch.save({"state_dict": weights}, folder / "iter_4.pth")
            (folder / "last_checkpoint").write_text(str(folder / "iter_4.pth"))
            self.trained.append(("two lines" if cfg.model.extra else "one line", seed))
        else:
            cfg, folder = Config.fromfile(words[1], import_custom_modules=False), Path(words[4])
            seed = int(re.search(r"seed(\d+)", str(folder))[1])
            score = 0.5 + 0.01 * seed + (0.1 + 0.002 * seed if cfg.model.extra else 0)
            (folder / "20250101_000000").mkdir(parents=True)
            (folder / "20250101_000000" / "20250101_000000.json").write_text(
                json.dumps({"toy/score": score})
            )


@pytest.fixture
def tools(monkeypatch):
    one = Tools()
    monkeypatch.setattr(runner, "call", one)
    monkeypatch.setattr(provenance, "read_machine", lambda: MACHINE)
    monkeypatch.setattr(provenance, "committed", lambda: "c0ffee")
    return one


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Where results go, instead of docs/evidence; pages stay as they are."""
    monkeypatch.setattr(run, "RESULTS", tmp_path / "docs")  # absolute, so it stands for itself
    monkeypatch.setattr(run.pages, "rewrite", list)
    return tmp_path / "docs"


def confirm(study, tmp_path, seeds=None):
    run.confirm("toy", study, tmp_path / "work", seeds)


def test_a_study_is_published_with_its_statement_numbers_pairs_and_picture(
    tmp_path, tools, published, capsys
):
    study = stated(tmp_path)
    confirm(study, tmp_path)
    found = results.read(published / "toy.json")
    assert found["statement"] == study.statement()
    assert (found["commit"], found["machine"]) == ("c0ffee", MACHINE)
    assert found["shared_start"] == {"one line": 0.5, "two lines": 0.5}
    assert found["keys"] == {
        arm: runner.Runner(study, MACHINE, tmp_path).key(arm) for arm in study.arms
    }
    assert found["runs"]["two lines"]["5"] == {"score": pytest.approx(0.66)}
    decides = results.deciding(found)
    assert (decides["n"], decides["wins"], decides["p"]) == (6, 6, 0.03125)
    assert decides["mean"] == pytest.approx(0.105)
    assert decides["low"] < 0.105 < decides["high"]
    assert (published / "toy.png").stat().st_size > 5000
    assert "0.1050 (+0.1011 to +0.1089)" in tables.both(found)
    assert "6 of 6" in tables.known("toy", found["statement"], found)
    assert "0.6" not in capsys.readouterr().out  # no number before the end
    assert not list((tmp_path / "work").rglob("iter_*.pth"))


def test_reordered_arms_find_their_own_runs_and_nothing_is_run_twice(tmp_path, tools, published):
    study = stated(tmp_path)
    confirm(study, tmp_path, seeds=[0, 1])
    assert len(tools.trained) == 4
    turned = replace(study, arms=dict(reversed(study.arms.items())))
    confirm(turned, tmp_path)
    assert len(tools.trained) == 12
    found = results.read(published / "toy.json")
    assert all(found["runs"]["two lines"][seed]["score"] > 0.59 for seed in "012345")
    assert all(found["runs"]["one line"][seed]["score"] < 0.56 for seed in "012345")


@pytest.mark.parametrize("what", ["config", "base config", "code", "machine", "start", "data"])
def test_whatever_a_number_depends_on_makes_another_run(tmp_path, tools, monkeypatch, what):
    study = stated(tmp_path)
    before = runner.Runner(study, MACHINE, tmp_path)
    keys = {before.key("one line"), before.key("two lines")}
    assert len(keys) == 2
    machine, arm = MACHINE, "two lines"
    if what == "config":
        study = replace(
            study, arms=study.arms | {"two lines": Arm(study.arms["one line"].config, slower)}
        )
    elif what == "base config":
        study = stated(tmp_path)
        Path(study.arms[arm].config).write_text(CONFIG.replace("max_iters=4", "max_iters=5"))
    elif what == "code":
        monkeypatch.setattr(provenance, "code_hash", lambda modules: "other")
    elif what == "machine":
        machine = MACHINE | {"threads": 2}
    elif what == "data":
        study = replace(study, data=("clean --folds 5",))
    else:
        study = replace(study, aliases={"^line": "other"})
    assert runner.Runner(study, machine, tmp_path).key(arm) not in keys


def reading(names, study, folder):
    """The same study where both arms' training set has more keys, among them a start's weights."""

    def read(cfg):
        cfg.train_dataloader.dataset.update(names)
        cfg.model.init_cfg = dict(type="Pretrained", checkpoint=str(folder / "weights.pth"))

    def both(cfg):
        read(cfg), with_extra(cfg)

    config = study.arms["one line"].config
    return replace(study, arms={"one line": Arm(config, read), "two lines": Arm(config, both)})


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("kept.txt", lambda folder: dict(keep=str(folder / "kept.txt"))),
        ("kept.txt", lambda folder: dict(dataset=dict(lists=[str(folder / "kept.txt")]))),
        ("labels.json", lambda folder: dict(data_root=str(folder), ann_file="labels.json")),
        (
            "pictures.gz",
            lambda folder: dict(data_root=f"{folder}/", data_prefix=dict(img_path="pictures.gz")),
        ),
        ("weights.pth", lambda folder: {}),
    ],
)
def test_runs_on_a_list_that_was_made_anew_are_other_runs(tmp_path, tools, published, file, names):
    study = reading(names(tmp_path), stated(tmp_path), tmp_path)
    for name in ("weights.pth", file):
        (tmp_path / name).write_text("7\n")
    confirm(study, tmp_path, seeds=[0])
    confirm(study, tmp_path, seeds=[0])
    assert len(tools.trained) == 2
    (tmp_path / file).write_text("7\n8\n")
    confirm(study, tmp_path, seeds=[0])
    assert len(tools.trained) == 4
    starts = list((tmp_path / "work" / "starts").glob("*.pth"))
    assert len(starts) == (2 if file == "weights.pth" else 1)


def test_data_that_change_under_a_study_s_feet_stop_it(tmp_path, tools, published, monkeypatch):
    study = reading(dict(keep=str(tmp_path / "kept.txt")), stated(tmp_path), tmp_path)
    (tmp_path / "kept.txt").write_text("7\n")

    def made_anew(log, *command):
        tools(log, *command)
        (tmp_path / "kept.txt").write_text("8\n")

    monkeypatch.setattr(runner, "call", made_anew)
    with pytest.raises(StudyError, match="code and data that stay as they are"):
        confirm(study, tmp_path)


def test_texts_that_are_no_files_name_none(tmp_path):
    odd = dict(data_root=None, text="x" * 5000, zero="\0", folder=str(tmp_path), number=1, empty="")
    assert list(provenance.files_named(odd)) == []


def test_the_code_is_the_package_and_what_a_config_imports_of_dev(tmp_path, monkeypatch):
    before = provenance.code_hash()
    assert before != provenance.code_hash(["dev.evidence.shifted_resnet"])
    (tmp_path / "mmext").mkdir()
    (tmp_path / "mmext" / "a.py").write_text("x = 1")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    first = provenance.code_hash()
    (tmp_path / "mmext" / "a.py").write_text("x = 2")
    assert provenance.code_hash() not in (before, first)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(seeds=tuple(range(8))), r"seeds was \[0, 1, 2, 3, 4, 5\] and is"),
        (
            dict(measures={"score": Measure("toy/other")}),
            r"measures.score.key was toy/score and is toy/other",
        ),
        (dict(tests={"test": ("a=1",)}), r"tests.test was \[\] and is \['a=1'\]"),
    ],
)
def test_a_study_is_neither_extended_nor_changed_after_its_first_result(
    tmp_path, tools, published, change, words
):
    study = stated(tmp_path)
    confirm(study, tmp_path, seeds=[0])
    with pytest.raises(StudyError, match=words):
        confirm(replace(study, **change), tmp_path)
    Path(study.arms["one line"].config).write_text(CONFIG.replace("lr=0.01", "lr=0.02"))
    with pytest.raises(StudyError, match=r"arms\.one line\.sha256 was .* under another name"):
        confirm(replace(study), tmp_path)  # as a later call reads it
    # words may be mended
    confirm(replace(stated(tmp_path), limits="in better words"), tmp_path, seeds=[1])


def test_before_its_first_result_a_study_may_change(tmp_path, tools, published, monkeypatch):
    def failing(log, *command):
        raise StudyError("the tool failed")

    monkeypatch.setattr(runner, "call", failing)
    with pytest.raises(StudyError, match="the tool failed"):
        confirm(stated(tmp_path), tmp_path)
    monkeypatch.setattr(runner, "call", tools)
    longer = stated(tmp_path, seeds=tuple(range(7)))
    confirm(longer, tmp_path, seeds=[6])
    noted = results.read(tmp_path / "work" / "toy" / "statement.json")
    assert noted["statement"] == longer.statement()


def test_a_published_study_runs_no_second_time(tmp_path, tools, published, capsys):
    confirm(stated(tmp_path), tmp_path)
    text = (published / "toy.json").read_text()
    confirm(stated(tmp_path), tmp_path)
    assert len(tools.trained) == 12
    assert "a study runs once" in capsys.readouterr().out
    with pytest.raises(StudyError, match=r"toy.json: expected the statement that toy had"):
        confirm(stated(tmp_path, seeds=tuple(range(8))), tmp_path / "elsewhere")
    assert (published / "toy.json").read_text() == text


def test_code_that_changes_under_a_study_s_feet_stops_it_and_nothing_is_mixed(
    tmp_path, tools, published, monkeypatch
):
    text = ["as stated"]
    monkeypatch.setattr(provenance, "code_hash", lambda modules: text[0])
    play = tools.__call__

    def edited_meanwhile(log, *command):
        play(log, *command)
        if len(tools.trained) == 3:
            text[0] = "edited"

    monkeypatch.setattr(runner, "call", edited_meanwhile)
    with pytest.raises(StudyError, match="code and data that stay as they are while"):
        confirm(stated(tmp_path), tmp_path)
    monkeypatch.setattr(runner, "call", tools)
    confirm(stated(tmp_path), tmp_path)
    assert len(tools.trained) == 3 + 12


def test_other_seeds_than_the_stated_ones_are_refused(tmp_path, tools, published):
    with pytest.raises(StudyError, match=r"some of the stated seeds .*, got \[9\]"):
        confirm(stated(tmp_path), tmp_path, seeds=[0, 9])
    with pytest.raises(StudyError, match="development seeds from 100 on, got 5"):
        run.develop("toy", stated(tmp_path), tmp_path / "work", [5, 100])
    with pytest.raises(StudyError, match="two development seeds or more, got 100 alone"):
        run.develop("toy", stated(tmp_path), tmp_path / "work", [100])
    assert not tools.trained


def test_development_shows_numbers_publishes_nothing_and_does_not_bind(
    tmp_path, tools, published, capsys
):
    run.develop("toy", stated(tmp_path), tmp_path / "work", [100, 101])
    assert "two lines against one line" in capsys.readouterr().out
    assert {seed for _, seed in tools.trained} == {100, 101}
    assert not published.exists()
    confirm(stated(tmp_path, seeds=tuple(range(7))), tmp_path, seeds=[0])
    assert len(tools.trained) == 4 + 2


def test_it_is_developed_on_one_split_and_confirmed_on_another(tmp_path):
    study = stated(tmp_path, tests={"test": (), "part": ("path={split}",)})
    study.configs["one line"].val_dataloader.batch_size = 3
    runners = {split: runner.Runner(study, MACHINE, tmp_path, split) for split in ("dev", "test")}
    sizes = {
        split: one.config("one line").test_dataloader.batch_size for split, one in runners.items()
    }
    assert sizes == {"dev": 3, "test": 4}
    assert [one.options("part") for one in runners.values()] == [["path=dev"], ["path=test"]]
    assert runners["dev"].key("one line") != runners["test"].key("one line")


def test_flags_and_settings_reach_the_tool_that_tests(tmp_path, monkeypatch, tools):
    asked = []

    def call(log, *command):
        asked.append([str(word) for word in command])
        tools(log, *command)

    monkeypatch.setattr(runner, "call", call)
    study = stated(tmp_path, tests={"test": ("--tta", "path={split}"), "plain": ("--tta",)})
    one = runner.Runner(study, MACHINE, tmp_path / "seed0")
    for test, words in (
        ("test", ["--tta", "--cfg-options", "path=test"]),
        ("plain", ["--tta"]),
    ):
        folder = tmp_path / "seed0"
        folder.mkdir(exist_ok=True)
        assert one.test(test, tmp_path / "toy.py", Path("last.pth"), folder) == {"toy/score": 0.5}
        assert asked[-1][5:] == words


def test_arms_that_share_nothing_are_no_pair(tmp_path, tools, published, monkeypatch):
    monkeypatch.setattr(runner, "shared_share", lambda *_, **__: 0.0)
    with pytest.raises(
        StudyError, match="no weight of the same name and shape, so its runs are no pairs"
    ):
        confirm(stated(tmp_path), tmp_path)


def test_a_model_that_finds_nothing_counts_and_a_missing_number_does_not():
    sound = Measure("coco/bbox_mAP", nothing_found=0.0)
    assert results.value_of(sound, {"test": {"time": 0.1, "data_time": 0.1}}, "a") == 0.0
    assert results.value_of(sound, {"test": {"coco/bbox_mAP": 0.25}}, "a") == 0.25
    assert results.value_of(Measure("mIoU", scale=0.01), {"test": {"mIoU": 50.0}}, "a") == 0.5
    with pytest.raises(
        StudyError, match=r"a: expected coco/bbox_mAP from the test, got \['coco/other'"
    ):
        results.value_of(sound, {"test": {"coco/other": 1.0, "time": 0.1}}, "a")
    with pytest.raises(StudyError, match="expected mIoU from the test"):
        results.value_of(Measure("mIoU"), {"test": {"time": 0.1}}, "a")


def test_what_is_not_committed_is_refused(tmp_path, monkeypatch):
    said = {"status": " M dev/evidence/studies.py\n M mmext/version.py", "rev-parse": "abc"}
    monkeypatch.setattr(provenance, "git", lambda *words: said[words[0]])
    with pytest.raises(
        StudyError, match=r"changes in dev/evidence/studies.py and elsewhere; commit them"
    ):
        provenance.committed()
    said["status"] = ""
    assert provenance.committed() == "abc"
    monkeypatch.undo()
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    with pytest.raises(StudyError, match="expected a git checkout"):
        provenance.committed()


def test_a_superseded_study_shows_its_table_and_is_not_run(capsys):
    with pytest.raises(SystemExit) as ended:
        run.main(["action"])
    assert "expected a study that can be run, got one that is superseded (three unpaired" in str(
        ended.value
    )
    run.main(["action", "--table"])
    assert "TSN: frames alone" in capsys.readouterr().out


def test_a_failed_tool_ends_the_study_with_a_sentence(tmp_path):
    with pytest.raises(
        StudyError, match=r"-c raise SystemExit\(3\) ended with 3; see .*a.log, mend it"
    ):
        runner.call(tmp_path / "a.log", "-c", "raise SystemExit(3)")


DRIVER = """
import sys
from pathlib import Path
from dev.evidence import run
from tests.dev.test_evidence_runner import stated
folder = Path(sys.argv[1])
run.develop("toy", stated(folder), folder / "work", [100, 101])
"""


@pytest.mark.slow
def test_with_the_stock_tools_runs_of_a_seed_are_pairs_and_a_killed_study_goes_on(tmp_path):
    command = [sys.executable, "-c", DRIVER, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True)
    finished = lambda: sorted((tmp_path / "work" / "runs").glob("*/result.json"))  # noqa: E731
    deadline = time.monotonic() + 900  # a run takes seconds, or minutes on a crowded machine
    while not finished():
        assert process.poll() is None, "the study ended before it was killed"
        assert time.monotonic() < deadline, "no run has finished"
        time.sleep(0.1)
    time.sleep(1)  # into the next run
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (first,) = finished()
    before = first.stat().st_mtime_ns
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "two lines against one line" in done.stdout
    assert first.stat().st_mtime_ns == before
    found = results.read(tmp_path / "work" / "toy" / "development.json")
    assert found["machine"]["threads"] == 1
    assert (
        found["machine"]["versions"]["torch"] == torch.__version__.split("+")[0]
        or "+" in torch.__version__
    )
    assert found["shared_start"] == {"one line": 1.0, "two lines": 0.5}
    notes = {}
    for result in finished():
        one = json.loads(result.read_text())
        notes[one["arm"], one["seed"]] = json.loads((result.parent / "notes.json").read_text())
    assert len(notes) == 4
    for seed in (100, 101):
        assert notes["one line", seed] == notes["two lines", seed]  # start, order and augmentation
    assert notes["one line", 100]["start"] != notes["one line", 101]["start"]
    assert notes["one line", 100]["seen"] != notes["one line", 101]["seen"]
    assert not list((tmp_path / "work").rglob("*.pth.new"))
