"""Bad input ends the real tools with one sentence and a non-zero status, never with a traceback."""

import json
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests import fresh_process
from tests.checkout import REPO, run_script

DEMO = REPO / "configs" / "detection" / "gfl" / "gfl_mobilenet-v2_fpn_1xb4-400i_trees.py"
ENV = {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}

# Importing the hosts takes seconds, so the tools run one after the other in one process, each as a
# script with its own command line. test_the_exit_status_is_that_of_the_process starts them in the
# ordinary way.
DRIVER = """
import contextlib, io, json, runpy, sys
results = []
for line in commands:
    sys.argv, text, code = line, io.StringIO(), 0
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            runpy.run_path(line[0], run_name="__main__")
        except SystemExit as end:
            code = end.code
    results.append([code, text.getvalue()])
print(json.dumps(results))
"""


def run_tools(*commands: list, cwd: Path) -> list[tuple]:
    """Run scripts of tools/ with their arguments; returns the end and the output of each."""
    lines = [[str(REPO / "tools" / name), *map(str, arguments)] for name, *arguments in commands]
    # An error with a traceback ends the run.
    text = fresh_process.run(f"commands = {lines!r}\n{DRIVER}", cwd=cwd, **ENV)
    found = next(line for line in reversed(text.splitlines()) if line.startswith("[["))
    return [(code, text) for code, text in json.loads(found)]


def sentence(code: object, *parts: str) -> None:
    """Assert that a tool ended with one line that holds all ``parts``."""
    assert isinstance(code, str), code  # sys.exit(text) prints the text and exits with status 1
    assert code.startswith("error: ")
    assert "\n" not in code
    assert "Traceback" not in code
    for part in parts:
        assert part in code, code


class Data:
    """A folder with a tiny COCO data set that a test may spoil, and a config that reads it."""

    def __init__(self, folder: Path, **config: str) -> None:
        self.folder = folder
        (folder / "images").mkdir(parents=True)
        self.coco = dict(
            images=[dict(id=i, file_name=f"{i}.png", width=64, height=48) for i in (1, 2)],
            annotations=[self.box(i, i, [8, 8, 16, 12]) for i in (1, 2)],
            categories=[dict(id=7, name="tree")],
        )
        for image in self.coco["images"]:
            Image.effect_noise((64, 48), 40).convert("RGB").save(
                folder / "images" / image["file_name"]
            )
        self.config = folder / "config.py"
        self.write(**config)

    @staticmethod
    def box(id: int, image: int, bbox: list) -> dict:
        return dict(
            id=id, image_id=image, category_id=7, bbox=bbox, area=bbox[2] * bbox[3], iscrowd=0
        )

    def write(self, classes: str = "('tree',)", more: str = "") -> None:
        (self.folder / "all.json").write_text(json.dumps(self.coco))
        lines = [f"_base_ = {str(DEMO)!r}", "model = dict(backbone=dict(init_cfg=None))"]
        for split in ("train", "val", "test"):
            lines.append(
                f"{split}_dataloader = dict(num_workers=0, persistent_workers=False, "
                f"dataset=dict(data_root={str(self.folder)!r}, ann_file='all.json', "
                f"data_prefix=dict(img='images'), metainfo=dict(_delete_=True, classes={classes})))"
            )
        for split in ("val", "test"):
            lines.append(f"{split}_evaluator = dict(ann_file={str(self.folder / 'all.json')!r})")
        self.config.write_text("\n".join([*lines, more, ""]))


def test_data_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    none, comma, outside, empty, missing, cut, gone = (
        Data(tmp_path / name)
        for name in ("none", "comma", "outside", "empty", "missing", "cut", "gone")
    )
    none.write(classes="('car', 'bus')")
    comma.write(classes="('tree')")
    outside.coco["annotations"].append(Data.box(31, 2, [60, 40, 20, 4]))
    outside.write()
    empty.coco["annotations"].append(Data.box(32, 1, [5, 5, 0, 4]))
    empty.write()
    (missing.folder / "images" / "2.png").unlink()
    whole = (cut.folder / "images" / "1.png").read_bytes()
    (cut.folder / "images" / "1.png").write_bytes(whole[: len(whole) // 2])
    (gone.folder / "all.json").unlink()
    cases = (none, comma, outside, empty, missing, cut, gone)
    ends = [
        code for code, _ in run_tools(*(["train.py", one.config] for one in cases), cwd=tmp_path)
    ]
    sentence(
        ends[0], f"{none.folder}/all.json", "(tree)", "car, bus", "metainfo=dict(classes=('tree',))"
    )
    sentence(ends[1], f"{comma.folder}/all.json", "got the string 'tree'", "('tree',)", "comma")
    sentence(ends[2], f"{outside.folder}/all.json", "annotation 31", "2.png", "outside", "64 x 48")
    sentence(
        ends[3], f"{empty.folder}/all.json", "annotation 32", "1.png", "empty", "correct or remove"
    )
    sentence(ends[4], f"{missing.folder}/images/2.png", "not found", "mmext data trees")
    sentence(ends[5], f"{cut.folder}/images/1.png", "truncated", "mmext data trees")
    sentence(ends[6], f"{gone.folder}/all.json: not found", "mmext data trees")


def test_what_would_train_to_nothing_is_refused(tmp_path: Path) -> None:
    """Each of these trained to the end, with a loss of boxes of 0 or a precision of -1."""
    texts, parts, flat, crowds, none, unjudged, heads = (
        Data(tmp_path / name)
        for name in ("texts", "parts", "flat", "crowds", "none", "unjudged", "heads")
    )
    for one, change in (
        (texts, dict(category_id="7")),
        (parts, dict(bbox=[0.1, 0.1, 0.3, 0.3])),
        (flat, dict(area=0)),
        (crowds, dict(iscrowd=1)),
    ):
        one.coco["annotations"] = [
            {**annotation, **change} for annotation in one.coco["annotations"]
        ]
        one.write()
    none.coco["images"] = []
    none.write()
    for annotation in unjudged.coco["annotations"]:
        del annotation["iscrowd"]
    unjudged.write()
    cases = (texts, parts, flat, crowds, none, unjudged)
    commands = [["train.py", one.config] for one in cases]
    commands.append(["verify.py", heads.config, "--cfg-options", "model.bbox_head.num_classes=80"])
    commands.append(
        ["verify.py", heads.config, "--cfg-options", "optim_wraper.type=AmpOptimWrapper"]
    )
    ends = run_tools(*commands, cwd=tmp_path)
    codes = [code for code, _ in ends]
    sentence(
        codes[0],
        f"{texts.folder}/all.json",
        "2: category_id matches only as text",
        "write both as numbers",
    )
    sentence(codes[1], "2: box between 0 and 1", "multiply boxes by the width and height")
    sentence(codes[2], "2: area not above 0")
    sentence(codes[3], "2: crowd", "set iscrowd to 0")
    sentence(codes[4], "expected images, got an empty list of images")
    sentence(
        codes[5], "annotation 1 has iscrowd none, expected 0 or 1 since the evaluation reads it"
    )
    sentence(codes[6], "model.bbox_head.num_classes: expected 1", "got 80; set it to 1")
    assert codes[7] == 0, "a key that nothing reads is a warning"


def test_a_wrong_config_is_refused(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    typo = "model.bbox_head.type=mmext.GFLHed"
    deep = "optim_wrapper.optimizer.type=AdmW"
    pretrained = Data(tmp_path / "pretrained")
    pretrained.write(more="model = dict(backbone=dict(init_cfg=dict(checkpoint='nowhere.pth')))")
    (tmp_path / "broken.py").write_text("model = dict(\n")
    (tmp_path / "orphan.py").write_text("_base_ = 'nobody.py'\n")
    (tmp_path / "module.py").write_text("custom_imports = dict(imports=['no_such_module'])\n")
    ends = [
        code
        for code, _ in run_tools(
            ["train.py", data.config, "--cfg-options", typo],
            ["verify.py", data.config, "--cfg-options", deep],
            ["train.py", pretrained.config],
            ["train.py", "nowhere.py"],
            ["train.py", "broken.py"],
            ["train.py", "orphan.py"],
            ["train.py", "module.py"],
            ["train.py", data.config, "--auto-scale-lr"],
            ["test.py", data.config, "nowhere.pth", "--out", "results.json"],
            cwd=tmp_path,
        )
    ]
    sentence(
        ends[0],
        str(data.config),
        "model.bbox_head.type",
        "mmext.GFLHed",
        "did you mean mmext.GFLHead",
    )
    sentence(ends[1], str(data.config), "optim_wrapper.optimizer.type", "AdmW", "AdamW")
    sentence(ends[2], "nowhere.pth: not found", "model.backbone", "mmext data mobilenet_v2")
    sentence(ends[3], "nowhere.py: not found")
    sentence(ends[4], "broken.py", "SyntaxError")
    sentence(ends[5], "orphan.py", "nobody.py")
    sentence(ends[6], "module.py", "no_such_module")
    sentence(ends[7], str(data.config), "base_batch_size")
    sentence(ends[8], "results.json", ".pkl")


class Poison:
    def __reduce__(self) -> tuple:
        return os.system, ("touch canary",)


def test_a_wrong_checkpoint_is_refused(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    torch.save(dict(state_dict=dict(weight=torch.ones(100))), tmp_path / "other.pth")
    whole = (tmp_path / "other.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pth").touch()
    (tmp_path / "page.pth").write_text("<html>404 not found</html>\n")
    torch.save(dict(state_dict=dict(weight=torch.ones(1)), meta=Poison()), tmp_path / "poison.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    names = ("nowhere", "cut", "empty", "page", "poison", "list", "other")
    lenient, *ends = run_tools(
        ["test.py", data.config, "other.pth", "--no-strict", "--work-dir", "lenient"],
        *(["test.py", data.config, f"{name}.pth"] for name in names),
        ["train.py", data.config, "--resume", "other.pth"],
        cwd=tmp_path,
    )
    codes = [code for code, _ in ends]
    sentence(codes[0], "nowhere.pth: not found")
    sentence(codes[1], "cut.pth", "cut off")
    sentence(codes[2], "empty.pth", "empty file")
    sentence(codes[3], "page.pth", "torch.save")
    sentence(codes[4], "poison.pth", "refused", "posix.system")
    sentence(codes[5], "list.pth", "state_dict", "got a list")
    sentence(
        codes[6], "other.pth", "missing (backbone.conv1", "1 unexpected (weight)", "--no-strict"
    )
    sentence(codes[7], "other.pth", "optimizer", "load_from")
    assert not (tmp_path / "canary").exists()
    assert lenient[0] == 0, "a person may insist"
    (log,) = (tmp_path / "lenient").glob("*/*.log")
    assert "loading what fits" in log.read_text()
    assert "Iter(test)" in log.read_text()


@pytest.mark.parametrize("tool", ["train.py", "verify.py"])
def test_the_exit_status_is_that_of_the_process(tmp_path: Path, tool: str) -> None:
    data = Data(tmp_path / "data")
    (data.folder / "all.json").write_text("{}")
    done = run_script(tool, data.config, cwd=tmp_path, **ENV)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    sentence(last, "all.json", "images, annotations, categories")
    assert "Traceback" not in done.stderr


def test_verify_counts_what_it_accepts(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    data.coco["annotations"] += [
        Data.box(3, 1, [-0.5, 0, 10, 10]),  # rounding
        Data.box(4, 1, [0, 0, 0.5, 10]),  # thinner than a pixel: left out by mmdet
        Data.box(5, 1, [-30, 0, 10, 10]),  # odd
        {**Data.box(6, 2, [0, 0, 9, 9]), "iscrowd": 1},
        Data.box(7, 99, [0, 0, 9, 9]),
    ]
    data.write(more="verify = dict(allow_odd_boxes=True)")
    ((code, text),) = run_tools(["verify.py", data.config, "--decode"], cwd=tmp_path)
    assert code == 0
    assert "2 images, 2 of them decoded; 3 boxes used" in text
    assert "1 crowd, 1 odd, 1 smaller than a pixel, 1 without image" in text
    assert "1 odd boxes are accepted; mmdet leaves out" in text
    assert "annotation 5" in text
    assert f"{data.config}: no errors" in text
