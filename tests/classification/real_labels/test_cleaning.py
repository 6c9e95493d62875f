"""Folds, rules and lists: each picture is scored once, and a list keeps what it names."""

import importlib.util

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS

from mmext.classification.real_labels import FilteredDataset, folds_of, plausible
from mmext.classification.real_labels.cleaning import calibrated_shares, doubts
from mmext.data_checks.class_files import read_digits
from mmext.errors import BadInputError
from tests.classification.real_labels.batched import noisy, out_of_fold
from tests.classification.stack.files import random_idx, write_folders


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_every_fold_has_its_share_of_every_class(folds):
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 23, 9]))
    found = folds_of(labels, folds, seed=1)
    sizes = np.bincount(found, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for one in range(3):
        own = np.bincount(found[labels == one], minlength=folds)
        assert own.max() - own.min() <= 1
    assert np.array_equal(found, folds_of(labels, folds, seed=1))
    assert not np.array_equal(found, folds_of(labels, folds, seed=2))


def test_folds_are_not_those_of_the_order_of_the_samples():
    labels = np.zeros(100, int)
    assert not np.array_equal(folds_of(labels, 2), np.arange(100) % 2)


@pytest.mark.parametrize("folds", [1, 4])
def test_too_few_samples_or_folds_are_refused(folds):
    with pytest.raises(BadInputError, match=f"--folds {folds}: expected 2 to 3, the number of"):
        folds_of([0, 1, 1], folds)


def test_a_label_is_plausible_among_the_first_k():
    scores = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])
    labels = np.array([0, 2, 2])
    kept = plausible(scores, labels, method="topk")
    assert kept.tolist() == [True, False, False]  # a tie: the first class
    assert plausible(scores, labels, method="topk", k=2).tolist() == [True, True, True]
    with pytest.raises(BadInputError, match=r"--method best: expected one of .* change it"):
        plausible(scores, labels, method="best")


def unsure(number=400, classes=5, seed=0):
    """Scores of a net that is as sure as it deserves, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.full(classes, 0.4), number)
    return scores, np.array([rng.choice(classes, p=one) for one in scores])


def test_a_temperature_makes_the_labels_likeliest():
    """Against a search over a grid, for a net that is three times too sure."""
    scores, labels = unsure()
    sure = scores**3 / (scores**3).sum(1, keepdims=True)
    grid = np.geomspace(0.05, 20, 4001)
    powers = [sure**one for one in grid]
    own = [(one / one.sum(1, keepdims=True))[np.arange(400), labels] for one in powers]
    nlls = [-np.log(one).mean() for one in own]
    best = int(np.argmin(nlls))
    assert grid[best] == pytest.approx(1 / 3, rel=0.2)
    assert np.allclose(calibrated_shares(sure, labels), own[best], atol=2e-3)


def test_how_sure_the_nets_are_changes_no_judgement():
    scores, labels = unsure(seed=1)
    shares = calibrated_shares(scores, labels)
    for sharper in (0.3, 4.0):
        assert np.allclose(calibrated_shares(scores**sharper, labels), shares, atol=1e-6)
    assert np.allclose(calibrated_shares(0.1 * scores, labels), shares)  # of sigmoids
    kept = plausible(scores, labels)
    assert np.array_equal(kept, shares >= 0.2)
    assert 0.5 < kept.mean() < 1
    assert np.array_equal(plausible(scores, labels, min_share=0.4), shares >= 0.4)


def test_certain_nets_are_taken_at_their_word():
    scores, labels = np.eye(4)[[0, 1, 2, 3] * 25], np.arange(100) % 4
    assert plausible(scores, labels).all()
    labels[7] = 0
    assert np.flatnonzero(~plausible(scores, labels)).tolist() == [7]


def test_doubts_name_the_class_that_is_suggested_the_surest_first():
    scores = np.array([[0.5, 0.5], [0.4, 0.6], [0.1, 0.9]])
    keep = np.array([True, False, False])
    found = doubts(["a", "b", "c"], scores, np.array([0, 0, 0]), keep)
    assert [(one.name, one.label, one.suggested) for one in found] == [("c", 0, 1), ("b", 0, 1)]
    assert found[0].score == pytest.approx(0.1)
    assert found[0].suggested_score == pytest.approx(0.9)


def test_cleanlab_is_asked_for_by_name_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInputError, match=r"the package cleanlab, got none; pip install"):
        plausible(np.eye(2), np.array([0, 1]), method="cleanlab")


@pytest.fixture(scope="module")
def noisy_digits(digits):
    """Scores of 1,000 digits by nets that did not see them, labels, and which were replaced."""
    task = noisy(*read_digits(str(digits)), number=1000, rate=0.2, seed=0)
    scores = out_of_fold(task, (64,), folds=5, steps=300, lr=0.1, seed=0)
    return scores, task.labels, task.wrong


@pytest.mark.parametrize(
    ("method", "recall", "precision"), [("share", 0.85, 0.85), ("topk", 0.95, 0.70)]
)
def test_replaced_labels_of_digits_are_found(noisy_digits, method, recall, precision):
    """Measured: 0.91 of the wrong ones, 0.93 of the doubted; by topk 0.99 and 0.76."""
    scores, labels, wrong = noisy_digits
    dropped = ~plausible(scores, labels, method=method)
    assert dropped[wrong].mean() >= recall
    assert wrong[dropped].mean() >= precision


def test_cleanlab_finds_them_too(noisy_digits):
    pytest.importorskip("cleanlab", reason="an extra: pip install 'mmext[cleanlab]'")
    scores, labels, wrong = noisy_digits
    dropped = ~plausible(scores, labels, method="cleanlab")  # cleanlab 2.9: precision 0.85
    assert dropped[wrong].mean() >= 0.80
    assert wrong[dropped].mean() >= 0.80
    # Sigmoids that do not sum up to 1 are judged by their shares.
    assert np.array_equal(plausible(3 * scores, labels, method="cleanlab"), ~dropped)


def test_a_list_keeps_the_samples_that_it_names_in_the_data_set_s_order(tmp_path):
    inner = dict(type="mmext.IdxClsDataset", **random_idx(tmp_path))
    (tmp_path / "keep.txt").write_text("4\n1\n\n")
    kept = DATASETS.build(
        dict(type="mmext.FilteredDataset", dataset=inner, keep=str(tmp_path / "keep.txt"))
    )
    assert isinstance(kept, FilteredDataset)
    assert len(kept) == 2
    found = [kept.get_data_info(place) for place in range(2)]
    assert [(one["key"], one["gt_label"], one["sample_idx"]) for one in found] == [
        ("1", 1, 0),
        ("4", 1, 1),
    ]
    assert np.array_equal(kept[-1]["img"], kept.dataset.pictures[4])
    with pytest.raises(IndexError):
        kept[2]
    loader = torch.utils.data.DataLoader(kept, batch_size=2, collate_fn=list)
    assert [one["key"] for batch in loader for one in batch] == ["1", "4"]


def test_names_without_a_folder_are_compared_with_the_last_part(tmp_path):
    write_folders(tmp_path / "train", dict(cat=2, dog=1))
    (tmp_path / "train" / "dog" / "00.png").rename(tmp_path / "train" / "dog" / "d.png")
    inner = dict(
        type="mmext.FolderClsDataset", data_root=str(tmp_path), data_prefix=dict(img_path="train")
    )
    kept = FilteredDataset(inner, ["d.png", "01.png"])
    assert [kept.get_data_info(i)["key"] for i in range(2)] == ["cat/01.png", "dog/d.png"]
    assert len(FilteredDataset(inner, ["cat/01.png"])) == 1


BAD = {
    "no file": (
        None,
        {},
        "not found, expected a list of samples to keep; make it with tools/clean",
    ),
    "empty": ("\n", {}, "expected a name a line, got an empty list"),
    "of another data set": ("1\ncat/9.png\n", {}, "names of samples such as 0, got cat/9.png"),
    "nothing of it": ("cat.png\n", dict(allow_missing=True), "names of samples such as 0, got cat"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_list_ends_in_one_sentence(tmp_path, case):
    text, cfg, sentence = BAD[case]
    if text is not None:
        (tmp_path / "keep.txt").write_text(text)
    inner = dict(type="mmext.IdxClsDataset", **random_idx(tmp_path))
    with pytest.raises(BadInputError, match=sentence):
        FilteredDataset(inner, tmp_path / "keep.txt", **cfg)
    (tmp_path / "keep.txt").write_text("1\n77\n")
    assert len(FilteredDataset(inner, tmp_path / "keep.txt", allow_missing=True)) == 1
