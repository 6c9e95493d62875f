"""Cut-outs of all sizes: sizes as stated, equal bytes from equal seeds, damage is mended."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mmext.prepare import stamps_pictures as choice
from mmext.prepare import stamps_sizes as script
from mmext.prepare.stamps_compose import compose
from mmext.prepare.stamps_packages import Package
from tests.prepare.written import contents

FEW = {"train": 4, "dev": 3, "test": 3}


def blocks():
    """Opaque squares, a colour a class, on a black photograph."""
    stamps = [
        [choice.Stamp(f"a/{k}", k, np.full((120, 120, 4), (40 * k + 15, 0, 255, 255), np.uint8))]
        for k in range(6)
    ]
    return choice.Pictures(stamps, {"flat.jpg": Image.new("RGB", (700, 500))})


@pytest.fixture
def made_up(monkeypatch):
    """Packages of six blocks and a photograph, without their files."""

    def divided(stamps, photos, divide, splits):
        assert divide is choice.three_ways
        return {split: blocks() for split in splits}

    monkeypatch.setattr(script, "SIZES", replace(script.SIZES, num_images=FEW))
    monkeypatch.setattr(script.stamps, "split_pictures", divided)
    monkeypatch.setattr(script.stamps, "fetch_both", lambda cache: {})
    monkeypatch.setattr(
        script.stamps, "unpack", lambda paths: Package({}, {}, b"take and use", {"pictures": "x"})
    )


def test_whole_objects_measure_24_to_200_pixels_and_are_of_all_three_sizes():
    scenes = [compose(blocks(), np.random.default_rng(n), script.SIZES.layout) for n in range(150)]
    assert {scene.pixels.shape for scene in scenes} == {(320, 320, 3)}
    instances = [one for scene in scenes for one in scene.instances]
    whole = np.sqrt([one.whole for one in instances])  # blocks are squares
    assert 24 <= whole.min() < 30
    assert 190 < whole.max() <= 200
    areas = np.array([one.mask.sum() for one in instances])
    assert areas.min() >= 40
    shares = np.histogram(areas, [0, *script.BOUNDS, 320**2])[0] / len(areas)
    assert shares.min() > 0.05


@pytest.mark.usefixtures("made_up")
def test_files_are_the_same_for_the_same_seed_and_made_anew_when_damaged(tmp_path):
    roots = {name: tmp_path / name for name in ("first", "again", "other")}
    for name, root in roots.items():
        script.prepare(root, tmp_path, seed=5 if name == "other" else 0)
    first, again, other = map(contents, roots.values())
    assert len(first) == 10 * 2 + 3 + 1
    assert first == again
    assert {name for name in first if first[name] == other[name]} == {"LICENSE"}
    (roots["first"] / "train" / "0001.jpg").unlink()
    script.prepare(roots["first"], tmp_path)
    assert contents(roots["first"]) == again
    file = roots["first"] / "annotations" / "dev.json"
    for damaged in (file.read_text().replace(script.RECIPE, "older"), "{"):
        file.write_text(damaged)
        script.prepare(roots["first"], tmp_path)
        assert contents(roots["first"]) == again


@pytest.mark.usefixtures("made_up")
def test_the_command_says_how_many_objects_are_of_which_size(tmp_path, capsys):
    script.main(["--root", str(tmp_path / "data"), "--cache", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(tmp_path / "data")
    assert [line.split()[:2] for line in lines[1:]] == [[k, str(n)] for k, n in FEW.items()]
    coco = json.loads((tmp_path / "data/annotations/test.json").read_text())
    small = sum(one["area"] < 1024 for one in coco["annotations"])
    large = sum(one["area"] > 9216 for one in coco["annotations"])
    assert f"{len(coco['annotations'])} objects: {small} small, " in lines[3]
    assert lines[3].endswith(f"medium, {large} large")
    assert {one["category_id"] for one in coco["annotations"]} == {1}
