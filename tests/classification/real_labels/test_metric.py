"""ReaL accuracy: the small example, the released file, any order, subsets, ranks, refusals."""

import copy
import importlib.util
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from mmext.classification.real_labels import ReaLAccuracy
from mmext.classification.real_labels.labels import labels_by_score, number_of, read_scores
from mmext.errors import BadInputError

LISTS = [[1], [], [2, 3], [0]]
ANSWERS = [1, 5, 3, 2]
SCORES = Path("data/imagenet/scores.npz")


def released():
    """The authors' real.json: the user's own, or the copy in timm's package, which is not imported.

    timm needs torchvision to be imported; its files do not.
    """
    own, timm = Path("data/imagenet/real.json"), importlib.util.find_spec("timm")
    if own.is_file() or timm is None or timm.origin is None:
        return own
    return Path(timm.origin).parent / "data" / "_info" / "imagenet_real_labels.json"


RELEASED = released()


def result(number, answer, classes=6, original=None, **more):
    score = torch.zeros(classes)
    score[answer] = 1.0
    found = dict(pred_score=score, img_path=f"val/ILSVRC2012_val_{number + 1:08}.JPEG", **more)
    return found if original is None else dict(found, gt_label=torch.tensor([original]))


def example(**more):
    return [result(number, answer, **more) for number, answer in enumerate(ANSWERS)]


def evaluated(found, lists=LISTS, size=None, **cfg):
    metric = ReaLAccuracy(lists, topk=cfg.pop("topk", 1), num_classes=6, **cfg)
    for one in found:
        metric.process(None, [one])
    return metric.evaluate(size or len(found))


EXPECTED = {"real/top1": 200 / 3, "real/n": 3, "real/skipped": 1}


def test_the_example():
    found = evaluated(example())
    assert found == pytest.approx(EXPECTED)
    assert found["real/top1"] == pytest.approx(66.667, abs=1e-3)


def test_order_and_repeats_change_nothing():
    found = example()
    random.Random(3).shuffle(found)
    assert evaluated([*found, found[1], found[0]]) == pytest.approx(EXPECTED)


def of_rank(rank, shares):
    """The metric of one rank; a sampler repeats a picture to make the ranks equal."""
    metric = ReaLAccuracy(LISTS, topk=1, num_classes=6)
    metric.process(None, shares[rank])
    return metric.evaluate(len(LISTS) + 1)


def test_two_ranks_give_what_one_gives(two_ranks):
    first, second = example()[::2], [*example()[3:0:-2], example()[3]]
    found = two_ranks(of_rank, [first, second])
    assert found[0] == pytest.approx(EXPECTED)
    assert found[1] == found[0]


def test_a_subset_is_judged_by_its_own_lists():
    assert evaluated(example()[2:]) == pytest.approx(
        {"real/top1": 50.0, "real/n": 2, "real/skipped": 0}
    )


def test_original_labels_and_what_is_forgiven():
    # Wrong by the original: pictures 0, 2 and 3, of which ReaL accepts 0 and 2. Picture 1 counts
    # for the original accuracy alone.
    found = [
        result(n, a, original=o) for n, (a, o) in enumerate(zip(ANSWERS, [4, 5, 2, 1], strict=True))
    ]
    assert evaluated(found) == pytest.approx(
        EXPECTED | {"original/top1": 25.0, "real/forgiven": 200 / 3}
    )


def test_a_skipped_picture_changes_nothing():
    for answer in range(6):
        found = example()
        found[1] = result(1, answer)
        assert evaluated(found) == pytest.approx(EXPECTED)
    assert evaluated(example()[1:2])["real/top1"] == 0


def test_of_equal_scores_the_first_class_is_the_answer():
    tied = dict(result(0, 0), pred_score=torch.tensor([0.0, 0.5, 0.5, 0.0, 0.0, 0.5]))
    assert evaluated([tied])["real/top1"] == 100
    assert evaluated([tied], lists=[[2]])["real/top1"] == 0
    assert evaluated([tied], lists=[[2]], topk=(1, 2))["real/top2"] == 100


def test_top_k_is_any_of_the_first_k():
    lists = [[4, 0], [5]]
    score = torch.tensor([0.3, 0.9, 0.8, 0.7, 0.6, 0.1])
    found = [dict(result(n, 0), pred_score=score) for n in range(2)]
    shares = {"real/top1": 0.0, "real/top3": 0.0, "real/top4": 50.0, "real/top5": 50.0}
    want = shares | {"real/n": 2, "real/skipped": 0}
    # Picture 0 accepts class 4, the fourth answer, and 0, the fifth; picture 1 class 5, the sixth.
    assert evaluated(found, lists, topk=(1, 3, 4, 5)) == pytest.approx(want)


def test_many_random_pictures_are_counted_as_by_hand():
    rng = np.random.default_rng(0)
    lists = [rng.choice(10, rng.integers(0, 4), replace=False).tolist() for _ in range(1000)]
    scores = torch.from_numpy(rng.random((1000, 10)))
    chosen = rng.permutation(1000)[:700]
    metric = ReaLAccuracy(lists, topk=(1, 3), num_classes=10)
    metric.process(None, [dict(result(n, 0), pred_score=scores[n]) for n in chosen.tolist()])
    found = metric.evaluate(700)
    counted = [n for n in chosen.tolist() if lists[n]]
    for k in (1, 3):
        first = {n: scores[n].argsort(descending=True)[:k].tolist() for n in counted}
        hits = sum(bool(set(first[n]) & set(lists[n])) for n in counted)
        assert found[f"real/top{k}"] == pytest.approx(100 * hits / len(counted))


def test_by_index_names_do_not_matter():
    found = [dict(one, img_path="cat.jpg", sample_idx=n) for n, one in enumerate(example())]
    assert evaluated(found, by="index") == pytest.approx(EXPECTED)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/a/12345678/ILSVRC2012_val_00000293.JPEG", 292),
        ("ILSVRC2012_val_00050000.jpg", 49999),
        ("n01440764_10026.JPEG", None),
        ("00000001.cat.png", None),
        ("cat.jpg", None),
    ],
)
def test_the_number_is_that_of_the_eight_digits_of_the_name(path, number):
    assert number_of(path) == number


def test_pictures_without_a_list_are_refused_or_left_out():
    cat = dict(result(0, 1), img_path="cat.jpg")
    with pytest.raises(BadInputError, match=r"cat.jpg: .* got no eight digits; set by='index'"):
        evaluated([cat])
    with pytest.raises(BadInputError, match=r"one of the 4 pictures .* got number 7"):
        evaluated([result(7, 1)])
    found = [cat, result(7, 1), *example()]
    assert evaluated(found, on_missing="skip") == pytest.approx(EXPECTED)
    assert evaluated([cat], on_missing="skip") == {"real/n": 0, "real/skipped": 0}
    without = {key: value for key, value in cat.items() if key != "img_path"}
    with pytest.raises(ValueError, match="expected img_path in each sample for by='filename'"):
        evaluated([without])


def test_other_classes_need_their_labels():
    small = [result(n, a, classes=3, original=a) for n, a in enumerate([0, 1, 2, 1])]
    with pytest.raises(ValueError, match="scores of 6 classes, got 3; give class_indices"):
        evaluated(small)
    found = evaluated(small, class_indices=[1, 5, 3])
    assert found == pytest.approx(EXPECTED | {"original/top1": 100.0, "real/forgiven": 0.0})
    with pytest.raises(ValueError, match="scores of 3 classes, got 6"):
        evaluated(example(), class_indices=[1, 5, 3])


BAD = {
    "no file": (None, "not found, expected ReaL's labels there; fetch real.json"),
    "no JSON": ("{", "expected JSON, got something else"),
    "no list": ('{"a": [1]}', "expected a list of labels for each picture, got {'a'"),
    "empty": ("[]", r"expected a list of labels for each picture, got \[\]"),
    "no labels": ("[[1], 2]", r"labels from 0 to 5 for picture 1, got 2"),
    "a class too many": ("[[1], [6]]", r"labels from 0 to 5 for picture 1, got \[6\]; set num_c"),
    "words": ('[["cat"]]', r"for picture 0, got \['cat'\]"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_of_labels_ends_in_one_sentence(tmp_path, case):
    text, sentence = BAD[case]
    file = tmp_path / "real.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadInputError, match=sentence):
        ReaLAccuracy(file, num_classes=6)


def test_arguments_that_say_nothing_are_refused():
    with pytest.raises(ValueError, match=r"by must be one of .* got 'name'"):
        ReaLAccuracy(LISTS, by="name")
    with pytest.raises(ValueError, match="on_missing must be one of"):
        ReaLAccuracy(LISTS, on_missing="ignore")
    with pytest.raises(ValueError, match="scores and score_thr together"):
        ReaLAccuracy(LISTS, score_thr=0.8)


def test_scores_of_raters_choose_the_labels_of_the_pictures_that_they_rated(tmp_path):
    info = [("ILSVRC2012_val_00000001.JPEG", "4"), ("ILSVRC2012_val_00000001.JPEG", "1")]
    info.append(("ILSVRC2012_val_00000004.JPEG", "2"))
    tensor = np.array([0.8, 0.79, 0.3])
    assert labels_by_score(LISTS, tensor, info, 0.8) == [[4], [], [2, 3], []]
    assert labels_by_score(LISTS, tensor, info, 0.3) == [[4, 1], [], [2, 3], [2]]
    np.savez(tmp_path / "scores.npz", tensor=tensor, info=np.array(info))
    chosen = dict(scores=tmp_path / "scores.npz", score_thr=0.3)
    found = evaluated(example(), **chosen)
    assert found == pytest.approx({"real/top1": 100.0, "real/n": 3, "real/skipped": 1})
    (tmp_path / "scores.npz").write_bytes(b"PK")
    with pytest.raises(BadInputError, match="expected the raters' scores with the arrays tensor"):
        evaluated(example(), **chosen)


def test_the_lists_themselves_stay_as_they_are():
    before = copy.deepcopy(LISTS)
    evaluated(example())
    assert before == LISTS


def judged(answers):
    """What the metric says of the first answers to pictures, by the released labels."""
    metric = ReaLAccuracy(RELEASED)
    metric.results = [(number, -1, tuple(first)) for number, first in answers]
    return metric.evaluate(len(answers))


@pytest.mark.skipif(not RELEASED.is_file(), reason=f"{RELEASED} is not here")
def test_the_released_file():
    lists = json.loads(RELEASED.read_text())
    sizes = np.bincount([len(one) for one in lists])
    assert sizes.tolist() == [3163, 39394, 5408, 1319, 411, 161, 88, 41, 13, 2]
    assert sum(map(len, lists)) == 57553
    constant = judged([(number, (0, 1, 2, 3, 4)) for number in range(50000)])
    assert (constant["real/n"], constant["real/skipped"]) == (46837, 3163)
    assert constant["real/top1"] == pytest.approx(100 * 52 / 46837)
    assert constant["real/top5"] == pytest.approx(100 * 255 / 46837)
    own = judged([(n, (one[0] if one else 7, -2, -2, -2, -2)) for n, one in enumerate(lists)])
    assert own["real/top1"] == 100


@pytest.mark.skipif(not RELEASED.is_file(), reason=f"{RELEASED} is not here")
def test_random_pictures_of_the_released_file_are_counted_as_by_hand():
    lists, rng = json.loads(RELEASED.read_text()), np.random.default_rng(0)
    answers = []
    for number in rng.choice(50000, 1000, replace=False).tolist():
        # A few classes of the list and a few others, in any order; real answers are as right.
        some = {*lists[number][:2], *rng.choice(1000, 5, replace=False).tolist()}
        answers.append((number, rng.permutation(sorted(some))[:5].tolist()))
    counted = [(set(lists[number]), first) for number, first in answers if lists[number]]
    found = judged(answers)
    assert (found["real/n"], found["real/skipped"]) == (len(counted), 1000 - len(counted))
    for k in (1, 5):
        hits = sum(bool(own & set(first[:k])) for own, first in counted)
        assert 0 < hits < len(counted)
        assert found[f"real/top{k}"] == pytest.approx(100 * hits / len(counted))


@pytest.mark.skipif(
    not (RELEASED.is_file() and SCORES.is_file()), reason=f"{RELEASED} or {SCORES} is not here"
)
@pytest.mark.parametrize(("least", "alike"), [(0.8, 24889), (0.79, 24730), (0.81, 24688)])
def test_the_raters_scores_give_the_released_lists_at_the_authors_threshold(least, alike):
    lists = json.loads(RELEASED.read_text())
    with np.load(SCORES) as saved:
        rated = {number_of(name) for name, _ in saved["info"].tolist()}
        assert (len(saved["tensor"]), len(rated)) == (184962, 24889)
    chosen = read_scores(lists, SCORES, least)
    same = [sorted(one) == sorted(other) for one, other in zip(chosen, lists, strict=True)]
    assert sum(same) == 50000 - len(rated) + alike
