"""Digits on photographs: equal seeds make equal scenes, and the maps show the digits."""

import gzip
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from mmext.prepare import photo_digits
from mmext.prepare.photo_digits import FILES, compose, enlarged, read_digits, write
from mmext.prepare.stamps_pictures import BACKGROUNDS, MATE, PHOTOS, Pictures
from tests.prepare.tiny_packages import needs_dpkg, package


@pytest.fixture(scope="module")
def ink():
    rng = np.random.default_rng(0)
    pictures = np.zeros((12, 8, 8), np.uint8)
    pictures[:, 1:7, 2:6] = rng.integers(150, 256, (12, 6, 4))
    return pictures, (np.arange(12) % 10).astype(np.uint8)


@pytest.fixture(scope="module")
def photos():
    return Pictures([], {"grey": Image.new("RGB", (300, 260), (128, 128, 128))})


def test_scikit_learns_file_is_read():
    rows = [",".join(map(str, [*([0] * 63), 16, 7])), ",".join(map(str, [8, *([0] * 63), 3]))]
    found, labels = read_digits(gzip.compress("\n".join(rows).encode()))
    assert labels.tolist() == [7, 3]
    assert found.shape == (2, 8, 8)
    assert (found[0, 7, 7], found[1, 0, 0], found.sum()) == (255, 128, 383)


def test_a_digit_is_opaque_where_there_is_ink_and_in_one_colour(ink):
    cut_out = enlarged(ink[0][0], np.random.default_rng(1))
    assert 40 <= len(cut_out) <= 90
    assert len(np.unique(cut_out[..., :3].reshape(-1, 3), axis=0)) == 1
    middle = len(cut_out) // 2
    assert cut_out[middle, middle, 3] > 127
    assert cut_out[0, 0, 3] == 0


def test_a_map_names_the_pixels_that_differ_from_the_photograph(ink, photos):
    for number in range(20):
        scene = compose(photos, *ink, np.random.default_rng(number))
        classes = scene.semantic()
        assert 1 <= len(scene.instances) <= 4
        assert set(np.unique(classes)) - {0} == {one.stamp.label + 1 for one in scene.instances}
        assert (scene.pixels[classes > 0] != 128).any(-1).mean() > 0.99
        again = compose(photos, *ink, np.random.default_rng(number))
        assert np.array_equal(scene.pixels, again.pixels)


@needs_dpkg
def test_splits_share_no_photograph_and_no_digit(tmp_path, monkeypatch, ink):
    for name, number in (("train", 6), ("val", 2), ("test", 3)):
        monkeypatch.setitem(photo_digits.NUM_SCENES, name, number)
        monkeypatch.setitem(photo_digits.NUM_DIGITS, name, 4)
    table = np.concatenate([ink[0].reshape(12, 64) // 16, ink[1][:, None]], 1)
    text = "\n".join(",".join(map(str, row)) for row in table)
    with zipfile.ZipFile(tmp_path / "sklearn.whl", "w") as wheel:
        wheel.writestr(FILES["digits.csv.gz"], gzip.compress(text.encode()))
        wheel.writestr(FILES["LICENSE"], "BSD")
    files = {}
    for number, name in enumerate(BACKGROUNDS):
        picture = io.BytesIO()
        Image.new("RGB", (400, 1800), (20 * number,) * 3).save(picture, "JPEG")
        files[PHOTOS + name] = picture.getvalue()
    deb = package(tmp_path, MATE, files)
    seen = {}
    monkeypatch.setattr(
        photo_digits,
        "write_split",
        lambda folder, split, sources, order: seen.update({split: sources}),
    )
    (tmp_path / "out").mkdir()
    write(tmp_path / "sklearn.whl", deb, tmp_path / "out")
    names = [name for photos, *_ in seen.values() for name in photos.photos]
    assert sorted(names) == sorted(BACKGROUNDS)  # each once
    assert all(photos.photos for photos, *_ in seen.values())
    labels = np.concatenate([labels for *_, labels in seen.values()])
    assert labels.tolist() == ink[1].tolist()
    assert b"BSD" in (tmp_path / "out" / "LICENSE").read_bytes()


def test_a_folder_is_complete_with_every_file_of_this_recipe(tmp_path, monkeypatch, ink, photos):
    monkeypatch.setattr(photo_digits, "NUM_SCENES", {"train": 2})
    photo_digits.write_split(tmp_path, "train", (photos, *ink), 0)
    assert not photo_digits.is_complete(tmp_path)
    (tmp_path / "recipe.json").write_text(f'{{"recipe": "{photo_digits.RECIPE}"}}')
    assert photo_digits.is_complete(tmp_path)
    (tmp_path / "semantic" / "train" / "0002.png").unlink()
    assert not photo_digits.is_complete(tmp_path)
