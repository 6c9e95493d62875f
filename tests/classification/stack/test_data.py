"""Data sets give what their files hold, and say in one sentence what is wrong with them."""

import gzip

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS

from mmext.classification.stack import (
    DigitsDataset,
    FolderClsDataset,
    IdxClsDataset,
    ImageNetDataset,
    NoisyLabels,
)
from mmext.classification.stack.noise import noisy_labels
from mmext.errors import BadInputError
from tests.classification.stack.files import idx, random_idx, write_folders, write_idx

PACK = [dict(type="mmext.LoadImageUnlessGiven", color_type="grayscale")]
PACK.append(dict(type="mmext.PackClsInputs"))


def keys(dataset):
    return [
        (info["key"], info.get("gt_label"))
        for info in map(dataset.get_data_info, range(len(dataset)))
    ]


def test_folders_are_classes_in_sorted_order(tmp_path):
    write_folders(tmp_path / "train", dict(dog=2, cat=1, ape=1))
    (tmp_path / "train" / "cat" / "deep").mkdir()
    (tmp_path / "train" / "cat" / "00.png").rename(tmp_path / "train" / "cat" / "deep" / "x.PNG")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no picture")
    cfg = dict(data_root=str(tmp_path), data_prefix=dict(img_path="train"))
    dataset = FolderClsDataset(**cfg, pipeline=PACK)
    assert dataset.metainfo["classes"] == ("ape", "cat", "dog")
    assert keys(dataset) == [
        ("ape/00.png", 0),
        ("cat/deep/x.PNG", 1),
        ("dog/00.png", 2),
        ("dog/01.png", 2),
    ]
    item = dataset[3]
    assert item["inputs"].shape == (1, 10, 12)
    assert (item["inputs"] == 1).all()  # dog/01.png
    assert item["data_samples"].gt_label.tolist() == [2]
    assert item["data_samples"].key == "dog/01.png"
    chosen = FolderClsDataset(**cfg, metainfo=dict(classes=("dog", "ape")))
    assert keys(chosen) == [("dog/00.png", 0), ("dog/01.png", 0), ("ape/00.png", 1)]


KAGGLE = "ImageId,PredictionString\na b.png,dog 1 2 3 4 dog 5 6 7 8\nx/c.png,ape 1 2 3 4\n"


@pytest.mark.parametrize(
    ("lines", "classes"),
    [
        ("a b.png 2\nx/c.png 0\n\n", ()),
        ("path,label\na b.png,2\nx/c.png,0\n", ()),
        ("a b.png,dog\nx/c.png,ape\n", ("ape", "cat", "dog")),
        (KAGGLE, ("ape", "cat", "dog")),
        ("a b.png,old dog\nx/c.png,ape\n", ("ape", "cat", "old dog")),
    ],
    ids=["blanks", "numbers-in-csv", "names-in-csv", "kaggle", "names-of-two-words"],
)  # fmt: skip
def test_a_list_gives_names_and_labels(tmp_path, lines, classes):
    (tmp_path / "list").write_text(lines)
    meta = dict(classes=classes) if classes else None
    dataset = FolderClsDataset(data_root=str(tmp_path), ann_file="list", metainfo=meta)
    assert keys(dataset) == [("a b.png", 2), ("x/c.png", 0)]
    assert dataset.get_data_info(0)["img_path"] == str(tmp_path / "a b.png")


def test_a_list_without_labels_is_for_tests_alone(tmp_path):
    (tmp_path / "list").write_text("a.png\nb.png\n")
    cfg = dict(data_root=str(tmp_path), ann_file="list")
    assert keys(FolderClsDataset(**cfg, test_mode=True)) == [("a.png", None), ("b.png", None)]
    with pytest.raises(BadInputError, match="expected a label for each picture, got none for a"):
        FolderClsDataset(**cfg)


FOLDERS = {
    "no folder": ({}, {}, "not found, expected a folder with one folder a class"),
    "an empty class": (dict(cat=1, dog=0), {}, r"dog: expected pictures of this class .* got"),
    "a class without a folder": (
        dict(cat=1, dog=1),
        dict(metainfo=dict(classes=("cat", "dogg"))),
        r"expected a folder for each class, got none for dogg \(did you mean 'dog'\?\)",
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_bad_folders_end_in_one_sentence(tmp_path, case):
    classes, cfg, sentence = FOLDERS[case]
    write_folders(tmp_path / "train", classes)
    prefix = dict(img_path="train" if classes else "other")
    with pytest.raises(BadInputError, match=sentence):
        FolderClsDataset(data_root=str(tmp_path), data_prefix=prefix, **cfg)


LISTS = {
    "empty": ("\n", (), "expected 'path label' a line, got an empty list"),
    "a word as label": ("a.png cat\n", (), "list:1: expected a number as label, got 'cat'"),
    "no such class": ("a.png catt\n", ("cat",), "expected one of 1 classes as label, got 'catt'"),
    "a label outside": ("a.png 0\nb.png 2\n", ("cat", "dog"), "list:2: expected labels fr"),
    "a negative label": ("a.png -1\n", (), "list:1: expected labels from 0 on, got -1"),
    "a torn line": ("a.png,\n", (), "list:1: expected 'path label', got 'a.png,'"),
    "the devkit's": ("490\n361\n", (), "numbers alone, as in ImageNet's devkit"),
}  # fmt: skip


@pytest.mark.parametrize("case", LISTS)
def test_bad_lists_end_in_one_sentence(tmp_path, case):
    lines, classes, sentence = LISTS[case]
    (tmp_path / "list").write_text(lines)
    meta = dict(classes=classes) if classes else None
    with pytest.raises(BadInputError, match=sentence):
        FolderClsDataset(data_root=str(tmp_path), ann_file="list", metainfo=meta)


def imagenet(tmp_path, lines, synsets=True, **cfg):
    names = [f"n{number:08}" for number in range(1000)]
    # In the order of the devkit's or anybody else's: labels are those of sorted synsets.
    (tmp_path / "map.txt").write_text("".join(f"{one} word {one}\n" for one in names[::-1]))
    (tmp_path / "val.csv").write_text(lines)
    cfg |= dict(synsets="map.txt") if synsets else {}
    return ImageNetDataset(data_root=str(tmp_path), ann_file="val.csv", test_mode=True, **cfg)


def test_imagenet_reads_kaggles_lists_by_sorted_synset(tmp_path):
    lines = "ImageId,PredictionString\nILSVRC2012_val_00000003,n00000007 1 2 3 4\n"
    dataset = imagenet(tmp_path, lines)
    assert keys(dataset) == [("ILSVRC2012_val_00000003.JPEG", 7)]
    assert dataset.metainfo["classes"][7] == "word n00000007"
    assert len(dataset.metainfo["classes"]) == 1000


def test_imagenet_refuses_labels_of_the_devkit_and_other_classes(tmp_path):
    with pytest.raises(BadInputError, match=r"got 1000; labels from 1 on are those of the devkit"):
        imagenet(tmp_path, "a.JPEG 1\nb.JPEG 1000\n", synsets=False)
    write_folders(tmp_path / "train", dict(n1=1, n2=1))
    cfg = dict(data_root=str(tmp_path), data_prefix=dict(img_path="train"))
    with pytest.raises(BadInputError, match="expected the 1000 classes of ImageNet, got 2"):
        ImageNetDataset(**cfg)
    assert len(ImageNetDataset(**cfg, metainfo=dict(classes=("n1", "n2")))) == 2


def test_idx_files_give_their_pictures(tmp_path):
    pictures = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    cfg = write_idx(tmp_path, pictures, np.array([2, 0, 1]))
    dataset = IdxClsDataset(**cfg, metainfo=dict(classes=("a", "b", "c")), pipeline=PACK)
    assert keys(dataset) == [("0", 2), ("1", 0), ("2", 1)]
    for number in range(3):
        assert torch.equal(dataset[number]["inputs"][0], torch.from_numpy(pictures[number]))
    last = IdxClsDataset(**cfg, indices=-1, pipeline=PACK)
    assert keys(last) == [("2", 1)]
    assert torch.equal(last[0]["inputs"][0], torch.from_numpy(pictures[2]))
    before = dataset.pictures.copy()
    dataset.get_data_info(0)["img"][:] = 0  # as a step of a pipeline may do
    assert np.array_equal(dataset.pictures, before)


IMAGES = idx(np.zeros((3, 2, 2)))
IDX = {
    "cut off": (gzip.compress(IMAGES)[:-9], None, "cannot be unpacked"),
    "half a picture": (IMAGES[:-2], None, "expected 12 bytes of pictures, 3 x 2 x 2, got 10"),
    "too long": (IMAGES + b"x", None, "expected 12 bytes"),
    "a picture file": (b"\x89PNG\r\n", None, "got another kind of file, which begins with"),
    "empty": (b"", None, "another kind of file"),
    "labels for pictures": (idx(np.zeros(3)), None, "of pictures in bytes, got one of labels"),
    "pictures for labels": (IMAGES, IMAGES, "of labels in bytes, got one of pictures"),
    "floats": (idx(np.zeros((3, 2, 2)), kind=13), None, "numbers of kind 0x0d"),
    "another split's labels": (IMAGES, idx(np.zeros(2)), "each of the 3 pictures .* got 2"),
    "a label outside": (IMAGES, idx(np.array([0, 1, 2])), "labels from 0 to 1, got 2"),
    "missing": (None, None, "images.gz: not found, expected an idx file there"),
}  # fmt: skip


@pytest.mark.parametrize("case", IDX)
def test_bad_idx_files_end_in_one_sentence(tmp_path, case):
    images, labels, sentence = IDX[case]
    cfg = write_idx(tmp_path, np.zeros((3, 2, 2)), np.array([0, 1, 0]))
    if images is None:
        (tmp_path / "images.gz").unlink()
    else:
        (tmp_path / "images.gz").write_bytes(images)
    if labels is not None:
        (tmp_path / "labels").write_bytes(labels)
    with pytest.raises(BadInputError, match=sentence):
        IdxClsDataset(**cfg, metainfo=dict(classes=("a", "b")))


def test_digits_are_those_of_scikit_learn(digits):
    dataset = DigitsDataset(ann_file=str(digits), pipeline=PACK)
    assert len(dataset) == 1797
    counts = np.bincount([label for _, label in keys(dataset)])
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    first = dataset[0]["inputs"]
    assert first.shape == (1, 8, 8)
    assert first[0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # 0 0 5 13 9 1 0 0 of 16


def test_another_file_is_no_file_of_digits(tmp_path):
    (tmp_path / "digits.csv").write_text("1,2,3\n")
    with pytest.raises(BadInputError, match=r"got a table of \(1, 3\); run mmext data digits"):
        DigitsDataset(ann_file=str(tmp_path / "digits.csv"))


@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
def test_uniform_noise_replaces_exactly_its_share_by_other_classes(rate):
    true = np.arange(2000) % 10
    noisy = noisy_labels(true, 10, rate=rate, seed=3)
    assert (noisy != true).sum() == 2000 * rate
    wrong = noisy[noisy != true]
    shift = (wrong - true[noisy != true]) % 10
    if rate:
        share = np.bincount(shift, minlength=10) / len(shift)
        assert share[0] == 0
        assert abs(share[1:] - 1 / 9).max() < 0.05
    assert np.array_equal(noisy, noisy_labels(true, 10, rate=rate, seed=3))
    assert not rate or not np.array_equal(noisy, noisy_labels(true, 10, rate=rate, seed=4))


def test_pairs_move_to_the_next_class_alone():
    true = np.arange(3000) % 10
    noisy = noisy_labels(true, 10, rate=0.3, kind="pair")
    assert set(((noisy - true) % 10).tolist()) == {0, 1}
    assert abs((noisy != true).mean() - 0.3) < 0.03
    with pytest.raises(ValueError, match=r"got 0.3 and 'pairs'; change them"):
        noisy_labels(true, 10, rate=0.3, kind="pairs")


def test_a_noisy_data_set_says_both_labels(tmp_path):
    inner = dict(type="mmext.IdxClsDataset", pipeline=PACK, **random_idx(tmp_path))
    noisy = DATASETS.build(dict(type="mmext.NoisyLabels", dataset=inner, rate=1.0, kind="pair"))
    assert isinstance(noisy, NoisyLabels)
    assert len(noisy) == 6
    for number in range(6):
        sample = noisy[number]["data_samples"]
        assert sample.true_label == number % 3
        assert sample.gt_label.tolist() == [(number + 1) % 3]
