"""Cut-outs on photos: splits apart, equal bytes from equal seeds, exact annotations, bad input."""

import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from pycocotools import mask as run_lengths

from mmext.data_checks import verify
from mmext.prepare import context
from mmext.prepare import stamps as script
from mmext.prepare import stamps_compose as compose
from mmext.prepare import stamps_packages as source
from mmext.prepare import stamps_pictures as choice
from tests.checkout import REPO, run_script
from tests.prepare.tiny_packages import needs_dpkg, package
from tests.prepare.written import contents

CACHE = REPO / "data" / "packages"
FEW = {"train": 8, "val": 4}
EDITIONS = {"six": script.SIX_CLASSES, "one": script.ONE_CLASS}


def png(number):
    """A disc of a colour of its own on a transparent ground."""
    rows, columns = np.mgrid[-40:40, -40:40]
    pixels = np.zeros((80, 80, 4), np.uint8)
    pixels[rows**2 + columns**2 < 38**2] = (number * 37 % 256, number * 91 % 256, 90, 255)
    return encoded(Image.fromarray(pixels), "PNG")


def encoded(image, kind):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """A folder of packages: four discs a class, three photographs, in a version nobody expects."""
    cache = tmp_path_factory.mktemp("packages")
    folders = [folders[0].rstrip("*") for folders in choice.CLASSES.values()]
    words = ["ant", "bee", "cow", "dog"]
    names = [f"{folder}{word}.png" for folder in folders for word in words]
    discs = {f"{choice.STAMPS}{name}": png(number) for number, name in enumerate(names)}
    drawing = {f"{choice.STAMPS}animals/mammals/cats/cartoon/cat.png": png(0)}
    photos = {
        f"{choice.PHOTOS}{name}": encoded(
            Image.linear_gradient("L").resize((900, 700)).rotate(turn), "JPEG"
        )
        for name, turn in {"Aqua.jpg": 0, "Dune.jpg": 90, "Storm.jpg": 180}.items()
    }
    for deb, files in {choice.TUXPAINT: {**discs, **drawing}, choice.MATE: photos}.items():
        package(
            cache, deb, {**files, source.copyright_file(deb): f"licence of {deb.name}".encode()}
        )
    return cache


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setitem(EDITIONS, "six", replace(script.SIX_CLASSES, num_images=FEW))
    one = replace(script.ONE_CLASS, num_images={"train": 6, "dev": 3, "test": 3}, divide=in_thirds)
    monkeypatch.setitem(EDITIONS, "one", one)


def in_thirds(names):
    """Four discs a class are too few for three splits by share."""
    splits = ["train", "dev", "test", "train"]
    return {name: splits[number % 4] for number, name in enumerate(sorted(names))}


@needs_dpkg
@pytest.mark.usefixtures("few")
def test_the_same_seed_gives_the_same_bytes_and_another_seed_the_same_splits(made_up, tmp_path):
    roots = {name: tmp_path / name for name in ("first", "again", "other")}
    for name, root in roots.items():
        script.prepare(root, made_up, 5 if name == "other" else 0, EDITIONS["six"])
    first, again, other = map(contents, roots.values())
    assert len(first) == 2 * 12 + 3 + 1
    assert first == again
    same = {name for name in first if first[name] == other[name]}
    assert same == {"LICENSE"}
    for split in FEW:
        assert pictures_of(roots["first"], "train").isdisjoint(
            pictures_of(roots["other"], "val")
        ), split


def pictures_of(root, split):
    coco = script.read_split(root, split)
    return {one["stamp"] for one in coco["annotations"]} | {
        one["background"] for one in coco["images"]
    }


@needs_dpkg
@pytest.mark.usefixtures("few")
def test_what_is_damaged_older_or_of_another_seed_is_made_anew_and_the_rest_is_left(
    made_up, tmp_path
):
    root = tmp_path / "stamps"
    script.prepare(root, made_up, edition=EDITIONS["six"])
    first = contents(root)
    with_no_packages = tmp_path / "empty"
    # complete, so nothing is fetched
    script.prepare(root, with_no_packages, edition=EDITIONS["six"])
    for damage in (
        "train/0001.jpg",
        "semantic/val/0002.png",
        "annotations/val.json",
        "annotations/val_hidden.json",
    ):
        (root / damage).unlink()
        script.prepare(root, made_up, edition=EDITIONS["six"])
        assert contents(root) == first
    file = root / "annotations" / "train.json"
    file.write_text(file.read_text().replace(script.RECIPE, "older"))
    script.prepare(root, made_up, edition=EDITIONS["six"])
    assert contents(root) == first
    script.prepare(root, made_up, 1, EDITIONS["six"])
    assert contents(root) != first
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["stamps"]


@needs_dpkg
@pytest.mark.usefixtures("few")
def test_one_class_has_three_splits_at_half_the_size_and_still_knows_the_six(made_up, tmp_path):
    root, edition = tmp_path / "one", EDITIONS["one"]
    script.prepare(root, made_up, edition=edition)
    assert script.is_complete(root, 0, edition)
    assert not script.is_complete(root, 1, edition)
    seen = {}
    for split in ("train", "dev", "test"):
        coco = script.read_split(root, split)
        assert [one["name"] for one in coco["categories"]] == ["object"]
        assert {one["category_id"] for one in coco["annotations"]} == {1}
        seen[split] = pictures_of(root, split)
        for image in coco["images"]:
            semantic = np.asarray(Image.open(root / "semantic" / split / f"{image['id']:04d}.png"))
            assert semantic.shape == (160, 160)
            expected = np.zeros_like(semantic)
            for one in coco["annotations"]:
                if one["image_id"] == image["id"]:
                    assert one["area"] >= compose.SMALL.min_pixels
                    label = 1 + list(choice.CLASSES).index(one["class"])
                    expected[run_lengths.decode(one["segmentation"]).astype(bool)] = label
            np.testing.assert_array_equal(semantic, expected)
        assert (root / "annotations" / f"{split}_hidden.json").exists() == (split != "train")
    assert not seen["train"] & (seen["dev"] | seen["test"])
    assert not seen["dev"] & seen["test"]
    (root / "annotations" / "test_hidden.json").unlink()
    assert not script.is_complete(root, 0, edition)
    assert "bird" in script.summary(root, edition.num_images)


@needs_dpkg
@pytest.mark.usefixtures("few")
def test_another_version_is_used_and_named(made_up, tmp_path, capsys):
    script.prepare(tmp_path / "stamps", made_up, edition=EDITIONS["six"])
    said = capsys.readouterr().err
    expected = choice.TUXPAINT.version
    assert (
        f"tuxpaint-stamps-default: expected version {expected}, got 9-1 with other pictures" in said
    )
    assert said.count("\n") == 2
    info = script.read_split(tmp_path / "stamps", "val")["info"]
    assert info["packages"] == {"tuxpaint-stamps-default": "9-1", "mate-backgrounds": "9-1"}
    licence = (tmp_path / "stamps" / "LICENSE").read_text()
    assert "licence of tuxpaint-stamps-default" in licence
    assert "licence of mate-backgrounds" in licence


@needs_dpkg
def test_too_few_pictures_are_refused_and_nothing_is_written(made_up, tmp_path):
    cache = tmp_path / "packages"
    cache.mkdir()
    package(cache, choice.TUXPAINT, {f"{choice.STAMPS}animals/birds/owl.png": png(1)})
    shutil.copy(made_up / "mate-backgrounds_9-1_all.deb", cache)
    result = run_script("data/stamps.py", "--root", tmp_path / "stamps", "--cache", cache)
    assert result.returncode == 1
    assert "expected mammal pictures for both splits, got 0 in all" in result.stderr
    assert not (tmp_path / "stamps").exists()
    assert not list(tmp_path.glob(".stamps-new-*"))


@needs_dpkg
def test_a_run_that_is_killed_leaves_no_folder_behind_its_name(made_up, tmp_path):
    root = tmp_path / "stamps"
    command = [sys.executable, str(REPO / "tools" / "data" / "stamps.py"), "--root", str(root)]
    process = subprocess.Popen([*command, "--cache", str(made_up)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob(".stamps-new-*/train/0020.jpg")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(tmp_path.glob(".stamps-new-*/train/0020.jpg"))  # it was killed half way
    assert not root.exists()


def test_without_apt_a_sentence_names_the_tree_crowns(tmp_path):
    result = run_script(
        "data/stamps.py",
        "--root",
        tmp_path / "stamps",
        "--cache",
        tmp_path / "packages",
        PATH=str(tmp_path),
    )
    assert result.returncode == 1
    assert "a machine without apt-get and dpkg-deb" in result.stderr
    assert result.stderr.endswith("mmext data trees.\n")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "stamps").exists()


def test_the_expected_version_with_another_checksum_is_refused_and_nothing_is_written(tmp_path):
    cache = tmp_path / "packages"
    cache.mkdir()
    (cache / choice.TUXPAINT.file_name).write_bytes(b"x")
    result = run_script("data/stamps.py", "--root", tmp_path / "stamps", "--cache", cache)
    assert result.returncode == 1
    file = cache / choice.TUXPAINT.file_name
    assert f"{file}: expected SHA-256 {choice.TUXPAINT.sha256}, got " in result.stderr
    assert result.stderr.endswith("delete it and run this command again.\n")
    assert not (tmp_path / "stamps").exists()


@pytest.fixture(scope="module")
def real(stamps):
    """The folder of the real data, and its annotations by split."""
    return stamps, {
        split: script.read_split(stamps, split) for split in script.SIX_CLASSES.num_images
    }


def test_the_real_splits_share_no_picture_and_have_every_class(real):
    _, splits = real
    stamps, kinds, photos = {}, {}, {}
    for split, coco in splits.items():
        assert [one["name"] for one in coco["categories"]] == list(choice.CLASSES)
        stamps[split] = {one["stamp"] for one in coco["annotations"]}
        photos[split] = {one["background"] for one in coco["images"]}
        kinds[split] = {
            (choice.class_of(f"{choice.STAMPS}{name}.png"), choice.kind(name))
            for name in stamps[split]
        }
        assert {kind[0] for kind in kinds[split]} == set(choice.CLASSES)
    for sets in (stamps, kinds, photos):
        assert sets["train"].isdisjoint(sets["val"])
    assert (len(stamps["train"] | stamps["val"]), len(photos["train"]), len(photos["val"])) == (
        221,
        7,
        3,
    )


def test_the_real_boxes_masks_and_maps_agree(real):
    root, splits = real
    for split, coco in splits.items():
        assert len(coco["images"]) == script.SIX_CLASSES.num_images[split]
        by_image = {image["id"]: [] for image in coco["images"]}
        for one in coco["annotations"]:
            by_image[one["image_id"]].append(one)
        assert {len(some) for some in by_image.values()} == {1, 2, 3, 4, 5}
        for image in coco["images"][:60]:
            with Image.open(root / split / image["file_name"]) as pixels:
                assert (pixels.size, pixels.mode) == ((320, 320), "RGB")
            expected = np.zeros((320, 320), np.uint8)
            for one in by_image[image["id"]]:
                mask = run_lengths.decode(one["segmentation"]).astype(bool)
                assert mask.sum() == one["area"] >= compose.LARGE.min_pixels
                assert one["bbox"] == run_lengths.toBbox(one["segmentation"]).tolist()
                assert not expected[mask].any()
                expected[mask] = one["category_id"]
            with Image.open(root / "semantic" / split / f"{image['id']:04d}.png") as classes:
                np.testing.assert_array_equal(classes, expected)


def test_the_hidden_objects_are_those_that_show_too_little_of_themselves(real):
    root, splits = real
    hidden = script.read_split(root, "val_hidden")
    assert hidden["images"] == splits["val"]["images"]
    for one, usual in zip(hidden["annotations"], splits["val"]["annotations"], strict=True):
        assert one == usual | {"iscrowd": int(one["hidden"] < 0.2)}
    assert all(0 <= one["hidden"] <= 0.6 for one in hidden["annotations"])
    assert 0.15 < np.mean([one["iscrowd"] == 0 for one in hidden["annotations"]]) < 0.5


@needs_dpkg
def test_the_real_pictures_are_the_ones_that_were_looked_at_and_give_the_same_scenes_again(
    real, tmp_path, monkeypatch
):
    root, splits = real
    package = source.unpack(source.fetch_both(CACHE))  # takes a quarter of a minute, so only here
    assert choice.digest(package.stamps | package.photos) == choice.PICTURES
    assert splits["val"]["info"]["pictures"] == choice.PICTURES
    pictures = choice.split_pictures(package.stamps, package.photos)
    for number, split in enumerate(script.SIX_CLASSES.num_images):
        scene = compose.compose(pictures[split], np.random.default_rng([0, number, 3]))
        assert encoded_jpeg(scene.pixels) == (root / split / "0003.jpg").read_bytes()
        noted = [one for one in splits[split]["annotations"] if one["image_id"] == 3]
        again = [
            script.annotation(one["id"], 3, seen)
            for one, seen in zip(noted, scene.instances, strict=True)
        ]
        assert json.loads(json.dumps(again)) == noted
    check_balance(list(package.stamps))
    monkeypatch.setattr(script, "unpack", lambda paths: package)
    monkeypatch.setattr(context, "unpack", lambda paths: package)
    check_one_class(tmp_path)
    check_context(tmp_path, monkeypatch)


def check_balance(paths):
    """Three splits are even class by class, and no kind is in two."""
    for name in choice.CLASSES:
        of_class = [path for path in paths if choice.class_of(path) == name]
        split_of = choice.three_ways(of_class)
        counts = Counter(split_of.values())
        assert abs(counts["dev"] - counts["test"]) <= 1
        assert 0.55 < counts["train"] / len(of_class) < 0.65
        assert len({(choice.kind(path), split) for path, split in split_of.items()}) == len(
            {choice.kind(path) for path in of_class}
        )
        assert choice.three_ways(reversed(of_class)) == split_of
    assert Counter(choice.three_ways(choice.BACKGROUNDS).values()) == {
        "train": 6,
        "dev": 2,
        "test": 2,
    }


def check_one_class(tmp_path):
    """A few real scenes of one class are what their config wants."""
    edition = replace(script.ONE_CLASS, num_images={"train": 12, "dev": 4, "test": 4})
    script.prepare(tmp_path / "one", CACHE, edition=edition)
    (config,) = REPO.glob("configs/detection/iou_balanced/*_stamps-one-class.py")
    assert verified(config, script.ONE_CLASS.root, tmp_path / "one") == {
        "train": 12,
        "val": 4,
        "test": 4,
    }


def check_context(tmp_path, monkeypatch):
    """A few real context scenes are what their config wants."""
    monkeypatch.setattr(context, "NUM_SCENES", {"train": 12, "dev": 4, "test": 4})
    context.prepare(tmp_path / "context", CACHE)
    (config,) = REPO.glob("configs/segmentation/dnl/*_context.py")
    found = verified(config, context.ROOT, tmp_path / "context")
    assert found == {"train": 12, "val": 4, "test": 4}


def verified(config, usual, root):
    """How many images of each split ``mmext verify`` saw in a config whose data lie at ``root``."""
    text = Config.fromfile(config).dump().replace(f"{usual}/", f"{root}/")
    cfg = Config.fromstring(text, ".py").to_dict()
    reports = verify.check(cfg, decode=True)
    assert not [error for report in reports for error in report.errors if "weights" not in error]
    assert not [warning for report in reports for warning in report.warnings]
    return {report.split: report.decoded for report in reports if report.decoded}


def encoded_jpeg(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()
