"""Shares of labels are the same for ever, nested, and lists name what there is."""

import json

import pytest

from mmext.errors import BadInputError
from mmext.landmarks.shares import read_indices, share_of

KEYS = ["a/1.jpg", "a/2.jpg", "b/3.jpg#7"]


def test_shares_are_fixed_and_nested():
    assert share_of(3148, 0.05)[:5] == [10, 22, 30, 33, 118]
    assert [len(share_of(3148, share)) for share in (0.05, 0.1, 0.2, 1.0)] == [157, 315, 630, 3148]
    assert set(share_of(3148, 0.05)) < set(share_of(3148, 0.1)) < set(share_of(3148, 0.2))
    assert share_of(3148, 0.05, seed=1) != share_of(3148, 0.05)
    assert len(share_of(3, 0.05)) == 1


@pytest.mark.parametrize("share", [0.0, -1.0, 5.0])
def test_a_share_in_percent_is_refused(share):
    with pytest.raises(ValueError, match=r"above 0 and up to 1, got .*; 5 % is 0.05"):
        share_of(10, share)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "0\n2\n"),
        ("list.txt", "a/1.jpg\n\nb/3.jpg#7\n"),
        ("list.txt", "1.jpg\n2\n"),
        ("list.json", "[0, 2]"),
        ("list.json", json.dumps(dict(labeled=["1.jpg", 2]))),
    ],
)
def test_lists_by_number_and_by_name(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_indices(str(tmp_path / name), KEYS) == {0, 2}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "list.txt",
            "a/4.jpg",
            "3 samples, or numbers below, got 'a/4.jpg' .did you mean 'a/",
        ),
        ("list.txt", "3", "got '3'"),
        ("list.json", "{]", "expected a JSON list of labelled samples, got something else"),
        ("list.json", "7", "expected a JSON list of labelled samples, got int"),
    ],
)
def test_other_lists_are_refused(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInputError, match=said):
        read_indices(str(tmp_path / name), KEYS)


def test_a_name_in_two_folders_is_refused(tmp_path):
    (tmp_path / "list.txt").write_text("1.jpg")
    with pytest.raises(BadInputError, match=r"got '1.jpg'"):
        read_indices(str(tmp_path / "list.txt"), ["a/1.jpg", "b/1.jpg"])


def test_no_list_is_refused(tmp_path):
    with pytest.raises(BadInputError, match=r"got no file; write one, or take labeled_share=0.2"):
        read_indices(str(tmp_path / "none.txt"), KEYS)
