"""The bank on disk: exact, whole, and of one run alone."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mmext.errors import BadInputError
from mmext.landmarks.ts3 import bank as banks
from mmext.landmarks.ts3.bank import Bank, Head

HEAD = Head(2, banks.digest(["a.png"]), banks.digest(dict(rounds=5)))


def some_bank(count=3, seed=0):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return (rng.normal(size=shape) * 100).astype(np.float32)

    return Bank(
        names=[f"{n}.png" for n in range(count)],
        points=draw(count, 2, 4, 2),
        peaks=draw(count, 2, 4),
        teacher=draw(count, 2),
        agreement=draw(count, 2),
        score=draw(count, 2),
        accepted=rng.random((count, 2)) < 0.5,
        weights=draw(count, 2, 4),
    )


def test_what_is_read_is_what_was_written_to_the_last_bit(tmp_path):
    bank = some_bank()
    bank.teacher[0, 0] = np.nan
    file = tmp_path / "round_2" / "pseudo.json"
    banks.write(file, replace(bank, fallback=True), HEAD)
    again = banks.read(file, HEAD)
    assert again.fallback
    assert again.names == bank.names
    for name, value in vars(bank).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(again, name), value)
            assert getattr(again, name).dtype == value.dtype
    assert "NaN" not in file.read_text()


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "pseudo.json"
    banks.write(file, some_bank(), HEAD)
    before = file.read_bytes()
    monkeypatch.setattr(json, "dumps", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        banks.write(file, some_bank(seed=1), HEAD)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (replace(HEAD, split="other"), "of these pictures .split other., got split"),
        (replace(HEAD, config="other"), "of these settings .config other., got config"),
        (replace(HEAD, round=3), "of this round .round 3., got round 2"),
    ],
)
def test_labels_of_another_run_are_refused(head, told, tmp_path):
    banks.write(tmp_path / "pseudo.json", some_bank(), HEAD)
    with pytest.raises(BadInputError, match=told):
        banks.read(tmp_path / "pseudo.json", head)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "something"}'])
def test_another_file_is_refused(text, tmp_path):
    (tmp_path / "pseudo.json").write_text(text)
    with pytest.raises(BadInputError, match=r"expected 'mmext TS3 pseudo-labels 1', got"):
        banks.read(tmp_path / "pseudo.json", HEAD)


def test_a_digest_depends_on_content_and_not_on_the_order_of_keys():
    assert banks.digest(dict(a=1, b=2)) == banks.digest(dict(b=2, a=1))
    assert banks.digest(dict(a=1)) != banks.digest(dict(a=2))
