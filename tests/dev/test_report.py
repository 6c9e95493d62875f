"""The report: what it draws and states comes from a run's files.

Here the hosts' own writers write them.
"""

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from mmdet.evaluation.metrics import DumpDetResults
from mmengine import Config
from mmengine.structures import InstanceData
from mmengine.visualization import LocalVisBackend
from PIL import Image

from dev.demo import expected, report, threshold
from dev.demo import run as trees_demo
from tests.checkout import REPO, run_script

METRICS = {
    "val": {"coco/bbox_mAP": 0.125, "coco/bbox_mAP_50": 0.5, "coco/bbox_mAP_75": 0.25},
    "test": {"coco/bbox_mAP": 0.0625, "coco/bbox_mAP_50": 0.375, "coco/bbox_mAP_75": 0.0},
}


def predict_truths(trees, split, every):
    """Ground truths as predictions: scores 0.9, but 0.1 for all other than each ``every``-th."""
    coco = json.loads((trees / "annotations" / f"{split}.json").read_text())
    for image in coco["images"]:
        boxes = [
            box["bbox"]
            for box in coco["annotations"]
            if box["image_id"] == image["id"] and not box["iscrowd"]
        ]
        corners = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes], dtype=torch.float32)
        scores = torch.full((len(boxes),), 0.1)
        scores[::every] = 0.9
        found = InstanceData(
            bboxes=corners, scores=scores, labels=torch.zeros(len(boxes), dtype=torch.long)
        )
        path = str(trees / split / image["file_name"])
        yield {"img_id": image["id"], "img_path": path, "pred_instances": found.to_dict()}


def write_test(trees, folder, split, every):
    """What ``mmext test`` leaves of one split."""
    run = folder / "20250102_000000"
    run.mkdir(parents=True)
    dump = DumpDetResults(str(folder / "predictions.pkl"))
    dump.process({}, list(predict_truths(trees, split, every)))
    dump.evaluate(len(dump.results))
    (run / f"{run.name}.json").write_text(json.dumps(METRICS[split]))
    # As ``mmext test --out`` leaves it: the evaluator is a list, the dataset's file relative to its
    # root.
    dataset = {"data_root": str(trees), "ann_file": f"annotations/{split}.json"}
    evaluators = [{"type": "CocoMetric"}, {"type": "DumpDetResults"}]
    config = Config({"test_dataloader": {"dataset": dataset}, "test_evaluator": evaluators})
    config.dump(folder / "trees.py")


def write_training(work_dir):
    """What ``mmext train`` leaves: losses every 10 iterations and AP every 20."""
    backend = LocalVisBackend(str(work_dir / "20250101_000000" / "vis_data"))
    for step in range(10, 50, 10):
        loss = {
            "loss": 4.0 / step,
            "loss_cls": 1.0 / step,
            "loss_bbox": 2.0 / step,
            "loss_dfl": 1.0 / step,
        }
        backend.add_scalars(loss, step=step)
        if step % 20 == 0:
            # as mmengine does when a run counts iterations
            backend.add_scalars(METRICS["val"], step=0)


@pytest.fixture
def work_dir(trees, tmp_path):
    write_training(tmp_path)
    write_test(trees, tmp_path / "val", "val", every=2)
    write_test(trees, tmp_path / "test", "test", every=1)
    return tmp_path


def has_colour(path, colour, area=(0, 0, 1, 1)):
    """Whether a part of the picture (left, top, right, bottom as shares) holds this very colour."""
    with Image.open(path) as image:
        width, height = image.size
        box = (area[0] * width, area[1] * height, area[2] * width, area[3] * height)
        pixels = np.asarray(image.convert("RGB").crop([round(edge) for edge in box])).astype(int)
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((abs(pixels - wanted).max(-1) <= 8).any())


def test_the_report_states_the_tests_own_numbers_and_draws_readable_pictures(work_dir):
    small = work_dir / "small.jpg"
    result = run_script(
        "../dev/demo/report.py", work_dir, "--readme-picture", small, PYTHONPATH=str(REPO)
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["AP", "AP50", "AP75"]
    assert lines[1].split() == ["validation", "0.125", "0.500", "0.250"]
    assert lines[2].split() == ["unseen", "sites", "0.062", "0.375", "0.000"]
    assert lines[3] == expected.sentence(0.5, expected.recorded())
    assert str(work_dir / "report" / "predictions.png") in lines[4]
    assert json.loads((work_dir / "report" / "summary.json").read_text()) == {
        "val": {"AP": 0.125, "AP50": 0.5, "AP75": 0.25},
        "test": {"AP": 0.0625, "AP50": 0.375, "AP75": 0.0},
    }
    with Image.open(work_dir / "report" / "predictions.png") as image:
        assert image.width == 1800
    with Image.open(work_dir / "report" / "curves.png") as image:
        assert image.width > image.height
    with Image.open(small) as image:
        assert image.width == 1200
    assert small.stat().st_size <= 300 * 1024


def test_people_s_boxes_are_above_and_predictions_below(work_dir):
    samples = report.read_samples(work_dir, "test", score=0.3)
    picture = work_dir / "picture.png"
    report.draw_samples(samples, picture, 0.3, 800)
    above, below = (0, 0.1, 1, 0.5), (0, 0.6, 1, 1)
    assert has_colour(picture, report.TRUTH, above)
    assert not has_colour(picture, report.TRUTH, below)
    assert has_colour(picture, report.PREDICTION, below)
    assert not has_colour(picture, report.PREDICTION, above)


def test_only_confident_predictions_and_counted_truths_are_drawn(work_dir):
    samples = report.read_samples(work_dir, "val", score=0.3)
    assert len(samples) == 9
    assert sum(len(sample.truth) for sample in samples) == 279
    for sample in samples:
        assert sample.predicted == sample.truth[::2]
    everything = report.read_samples(work_dir, "val", score=0.05)
    assert all(len(sample.predicted) == len(sample.truth) for sample in everything)


def test_the_newest_test_counts(work_dir):
    run = work_dir / "val" / "20250103_000000"
    run.mkdir()
    (run / f"{run.name}.json").write_text(json.dumps({**METRICS["val"], "coco/bbox_mAP": 0.75}))
    assert report.read_metrics(work_dir, "val")["AP"] == 0.75


def test_a_test_without_detections_ends_with_a_sentence(work_dir):
    (work_dir / "val" / "20250102_000000" / "20250102_000000.json").write_text('{"time": 0.5}')
    with pytest.raises(
        SystemExit, match=r"20250102_000000\.json: expected coco/bbox_mAP, got \['time'\]"
    ):
        report.main([str(work_dir)])
    assert not (work_dir / "report").exists()


def test_a_run_without_validation_still_has_its_loss_curve(tmp_path):
    report.draw_curves(
        [{"loss": 2.0, "step": 1}, {"loss": 1.0, "step": 2}], tmp_path / "curves.png"
    )
    assert has_colour(tmp_path / "curves.png", "#1f77b4", (0, 0, 0.5, 1))
    assert report.curve([{"loss": 2.0, "step": 1}, {"lr": 0.1, "step": 2}], "loss") == ([1], [2.0])


def test_ap_stands_at_the_iteration_at_which_it_was_measured(tmp_path):
    write_training(tmp_path)
    lines = (tmp_path / "20250101_000000" / "vis_data" / "scalars.json").read_text().splitlines()
    assert report.curve([json.loads(line) for line in lines], "coco/bbox_mAP") == (
        [20, 40],
        [0.125, 0.125],
    )


def test_samples_are_taken_at_equal_steps():
    assert report.spread(list("abcdefghi"), 3) == ["b", "e", "h"]
    assert report.spread(list("abcdefghi"), 2) == ["c", "g"]


@pytest.mark.parametrize(
    "missing", ["val/predictions.pkl", "test/trees.py", "20250101_000000/vis_data/scalars.json"]
)
def test_a_missing_file_is_named_in_a_sentence(work_dir, missing, capsys):
    (work_dir / missing).unlink()
    with pytest.raises(SystemExit) as ended:
        report.main([str(work_dir)])
    sentence = str(ended.value.code)
    assert sentence.startswith("error: ")
    assert sentence.endswith(" first.")
    assert missing.rpartition("/")[2].replace("trees.py", "*.py") in sentence
    assert not (work_dir / "report").exists()


class TestDemo:
    def test_a_failing_step_ends_the_demo_with_its_exit_code(self, tmp_path, monkeypatch, capsys):
        script = tmp_path / "fails.py"
        script.write_text("print('half way')\nraise SystemExit(7)")
        fails = trees_demo.Step("fails", "Fail", [str(script)])
        never = trees_demo.Step("never", "Never", [str(tmp_path / "never.py")])
        monkeypatch.setattr(trees_demo, "steps", lambda work_dir, cfg_options: iter([fails, never]))
        with pytest.raises(SystemExit) as ended:
            trees_demo.main(["--work-dir", str(tmp_path / "work")])
        assert ended.value.code == 7
        printed = capsys.readouterr()
        assert "half way" in printed.out
        assert "Never" not in printed.out
        assert "step 1 (Fail) failed" in printed.err
        assert (tmp_path / "work" / "logs" / "fails.log").read_text() == "half way\n"

    def test_its_commands_name_files_that_exist(self, tmp_path):
        (tmp_path / "last_checkpoint").write_text("iter_200.pth")
        commands = [step.command for step in trees_demo.steps(tmp_path, [])]
        assert len(commands) == 6
        for command in commands:
            file = f"{command[1].replace('.', '/')}.py" if command[0] == "-m" else command[0]
            assert (REPO / file).exists(), file
        assert (REPO / trees_demo.CONFIG).exists()

    def test_the_validation_test_reads_validation_only(self):
        config = Config.fromfile(REPO / trees_demo.CONFIG, import_custom_modules=False)
        config.merge_from_dict(dict(option.split("=") for option in trees_demo.VALIDATION))
        assert config.test_dataloader == config.val_dataloader
        assert config.test_evaluator == config.val_evaluator


def test_help_needs_no_data(tmp_path):
    for name in ("report.py", "run.py", "expected.py"):
        result = run_script(f"../dev/demo/{name}", "--help", cwd=tmp_path, PYTHONPATH=str(REPO))
        assert result.returncode == 0
        assert "usage" in result.stdout


class TestThreshold:
    """The score that balances precision and recall, on boxes whose matches are known."""

    @staticmethod
    def balanced(tmp_path, scores_right, scores_wrong, num_truths):
        truths = [[40 * i, 0, 20, 20] for i in range(num_truths)]
        coco = dict(
            images=[dict(id=1, width=4000, height=100, file_name="a.png")],
            categories=[dict(id=1, name="tree")],
            annotations=[
                dict(id=i + 1, image_id=1, category_id=1, bbox=box, area=400, iscrowd=0)
                for i, box in enumerate(truths)
            ],
        )
        file = tmp_path / "truth.json"
        file.write_text(json.dumps(coco))
        right = [[40.0 * i, 0, 40.0 * i + 20, 20] for i in range(len(scores_right))]
        wrong = [[40.0 * i, 50, 40.0 * i + 20, 70] for i in range(len(scores_wrong))]
        found = dict(
            bboxes=torch.tensor(right + wrong).reshape(-1, 4),
            scores=torch.tensor([*scores_right, *scores_wrong], dtype=torch.float32),
        )
        return threshold.balanced_score(str(file), [dict(img_id=1, pred_instances=found)])

    def test_as_many_are_wrong_as_are_missing(self, tmp_path):
        # From 0.5 on: 6 of 8 right and 6 of 8 found; elsewhere the two differ.
        right = [0.99, 0.95, 0.9, 0.8, 0.6, 0.5, 0.2, 0.1]
        wrong = [0.7, 0.55, 0.4, 0.35, 0.3, 0.25, 0.15]
        assert self.balanced(tmp_path, right, wrong, 8) == pytest.approx(0.5)

    def test_without_mistakes_everything_is_drawn(self, tmp_path):
        assert self.balanced(tmp_path, [0.9, 0.4, 0.2], [], 10) == pytest.approx(0.2)

    def test_without_predictions_there_is_nothing_to_balance(self, tmp_path):
        assert self.balanced(tmp_path, [], [], 3) == 0.0

    def test_without_a_right_one_the_surest_is_drawn(self, tmp_path):
        assert self.balanced(tmp_path, [], [0.6, 0.3], 3) == pytest.approx(0.6)


class TestExpected:
    def test_the_interval_holds_the_share_of_runs_that_it_states(self):
        draws = np.random.default_rng(0).normal(0.5, 0.02, (20_000, 7))
        inside = 0
        for *six, one_more in draws[:4000]:
            low, high = expected.interval(six)
            inside += low <= one_more <= high
        assert inside / 4000 == pytest.approx(0.95, abs=0.01)

    @pytest.mark.parametrize(("found", "place"), [(0.5, "inside"), (0.7, "above"), (0.3, "below")])
    def test_a_run_is_told_whether_it_lies_inside(self, found, place):
        runs = [dict(val={"AP50": value}) for value in (0.49, 0.5, 0.51)]
        text = expected.sentence(found, dict(repeats=runs, varied="seeds"))
        assert f"{found:.3f}: {place} the interval" in text
        assert "0.45 to 0.55" in text

    def test_the_page_and_the_demo_say_the_same_interval(self):
        record = dict(
            repeats=[dict(val={"AP50": value}) for value in (0.49, 0.5, 0.51)],
            varied="seeds",
            machine=dict(processor="a processor", versions=dict(torch="2.14.1")),
        )
        assert "between 0.45 and 0.55" in expected.known(record)
        assert "0.45 to 0.55" in expected.sentence(0.5, record)
        assert "mean 0.500 and standard deviation 0.010" in expected.known(record)

    def test_the_recorded_runs_are_of_the_recipe_that_is_shipped_and_repeat(self):
        runs = expected.recorded()["repeats"]
        done = [(run["seed"], run["threads"]) for run in runs]
        assert len(set(done)) == len(done)
        asked = {(seed, threads) for seed in expected.SEEDS for threads in expected.THREADS}
        assert asked <= set(done)  # others may stand beside them
        assert statistics.stdev(run["val"]["AP50"] for run in runs) <= 0.015

    def test_without_a_record_it_says_so(self):
        text = expected.sentence(0.5, dict(recipe="", repeats=[]))
        assert text == "AP50 on validation 0.500; no runs of this recipe are recorded"

    def test_a_record_of_another_recipe_does_not_count(self, tmp_path, monkeypatch):
        runs = [dict(val={"AP50": value}) for value in (0.4, 0.5)]
        monkeypatch.setattr(expected, "RECORD", tmp_path / "docs" / "evidence" / "demo.json")
        expected.RECORD.parent.mkdir(parents=True)
        for recipe, number in (("another", 0), ("this", 2)):
            expected.RECORD.write_text(json.dumps(dict(recipe=recipe, repeats=runs)))
            monkeypatch.setattr(expected, "recipe", lambda: "this")
            assert len(expected.recorded()["repeats"]) == number

    def test_runs_that_end_together_are_all_recorded(self, tmp_path, monkeypatch):
        monkeypatch.setattr(expected, "RECORD", tmp_path / "demo.json")
        monkeypatch.setattr(expected, "LOCK", tmp_path / "locks" / "demo.json")
        monkeypatch.setattr(expected, "read_machine", dict)
        read = expected.recorded

        def slowly():
            found = read()
            time.sleep(0.1)  # the other one comes between reading and writing
            return found

        monkeypatch.setattr(expected, "recorded", slowly)
        runs = [dict(seed=seed, threads=1, val={"AP50": 0.5}) for seed in (0, 1, 2)]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(expected.add, runs))
        assert read()["repeats"] == runs
