"""Shares of COCO's labels: nested, repeatable, and nothing lost."""

import itertools
import json

import pytest

from mmext.prepare.coco_splits import STEM, labelled_rows, main, split
from mmext.prepare.packages import DataError

IMAGES = 1000
GOLDEN = {1: [1, 7, 10, 16, 18], 2: [2, 6, 7, 10, 18]}
COCO = {
    "info": {"year": 2017},
    "categories": [{"id": 1, "name": "tree"}],
    # Not in the order of their ids, as in COCO's own file.
    "images": [
        {"id": 7 * k % 1009, "file_name": f"{7 * k % 1009:012}.jpg"} for k in range(1, 1001)
    ],
    "annotations": [{"id": k, "image_id": 7 * (k % 1000 + 1) % 1009} for k in range(3000)],
}


def ids(part):
    return [image["id"] for image in part["images"]]


@pytest.mark.parametrize("percent", [1.0, 5.0, 10.0, 20.0, 50.0])
def test_nothing_is_lost_and_the_share_is_the_share(percent):
    labelled, others = split(COCO, percent, fold=1)
    assert len(labelled["images"]) == IMAGES * percent // 100
    assert sorted(ids(labelled) + ids(others)) == sorted(ids(COCO))
    for part in (labelled, others):
        assert part["info"] == COCO["info"]
        assert part["categories"] == COCO["categories"]
        of_part = [one for one in COCO["annotations"] if one["image_id"] in set(ids(part))]
        assert part["annotations"] == of_part
        assert of_part


def test_small_shares_lie_inside_large_ones_and_folds_differ():
    shares = [set(ids(split(COCO, percent, 1)[0])) for percent in (1.0, 5.0, 10.0, 20.0, 50.0)]
    assert all(small < large for small, large in itertools.pairwise(shares))
    other = set(ids(split(COCO, 10.0, 2)[0]))
    assert 0 < len(other & shares[2]) < 30  # 10 are expected in both


def test_the_order_in_the_file_does_not_matter():
    turned = COCO | {"images": COCO["images"][::-1]}
    assert ids(split(turned, 10.0, 1)[0]) == ids(split(COCO, 10.0, 1)[0])


def test_the_draw_is_fixed():
    """Golden numbers: another draw would make other files of the same name."""
    assert labelled_rows(20, 25.0, fold=1).nonzero()[0].tolist() == GOLDEN[1]
    assert labelled_rows(20, 25.0, fold=2).nonzero()[0].tolist() == GOLDEN[2]


@pytest.fixture
def coco(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / f"{STEM}.json").write_text(json.dumps(COCO))
    return tmp_path


def test_the_command_writes_both_parts(coco, capsys):
    main(["--root", str(coco), "--percent", "10", "0.5", "--fold", "3"])
    assert sorted(file.name for file in (coco / "semi_anns").iterdir()) == sorted(
        f"{STEM}.3@{percent}{kind}.json" for percent in ("10", "0.5") for kind in ("", "-unlabeled")
    )
    for part, kind in zip(split(COCO, 10.0, 3), ("", "-unlabeled"), strict=True):
        assert json.loads((coco / "semi_anns" / f"{STEM}.3@10{kind}.json").read_text()) == part
    assert "100 pictures" in capsys.readouterr().out


def test_links_lead_to_the_pictures_without_labels(coco):
    (coco / "train2017").mkdir()
    for image in COCO["images"]:
        (coco / "train2017" / image["file_name"]).write_text(image["file_name"])
    for _ in range(2):  # a second time finds them there
        main(["--root", str(coco), "--percent", "50", "--link"])
    linked = list((coco / "unlabeled" / "1@50").iterdir())
    others = split(COCO, 50.0, 1)[1]["images"]
    assert sorted(file.name for file in linked) == sorted(one["file_name"] for one in others)
    assert all(file.read_text() == file.name for file in linked)


def test_links_to_no_pictures_are_refused(coco):
    with pytest.raises(SystemExit, match=r"expected COCO's pictures in .* leave --link out"):
        main(["--root", str(coco), "--percent", "50", "--link"])


@pytest.mark.parametrize("percent", [0.0, 100.0, -1.0])
def test_no_share_is_refused(percent):
    with pytest.raises(DataError, match="between 0 and 100, got"):
        labelled_rows(100, percent, 1)


def test_a_share_of_no_picture_is_refused():
    with pytest.raises(DataError, match=r"0\.5 % of 100 pictures is none"):
        labelled_rows(100, 0.5, 1)


def test_missing_annotations_are_named_with_what_to_do(tmp_path):
    with pytest.raises(SystemExit, match=r"expected COCO's annotations at .*download"):
        main(["--root", str(tmp_path)])
