"""Folders of data sets are made once, and are whole or as they were."""

import pytest

from mmext.prepare.packages import DataError, has_files, make_folder

COMPLETE = has_files(("a", "b"))


def test_a_folder_is_made_once_and_read_by_all(tmp_path):
    root, made = tmp_path / "data" / "set", []

    def write(folder):
        made.append(folder)
        for name in ("a", "b"):
            (folder / name).write_text(name)

    for _ in range(2):
        make_folder(root, COMPLETE, write)
    assert len(made) == 1
    assert sorted(one.name for one in root.iterdir()) == ["a", "b"]
    assert root.stat().st_mode & 0o777 == 0o755
    (root / "b").unlink()
    (root / "c").write_text("of an older recipe")
    make_folder(root, COMPLETE, write)
    assert sorted(one.name for one in root.iterdir()) == ["a", "b"]
    assert [one.name for one in root.parent.iterdir() if one.is_dir()] == ["set"]


def test_what_was_there_stays_if_the_new_one_fails(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    (root / "a").write_text("old")

    def write(folder):
        (folder / "a").write_text("new")
        raise DataError("no network")

    with pytest.raises(DataError, match="no network"):
        make_folder(root, COMPLETE, write)
    assert (root / "a").read_text() == "old"
    assert [one.name for one in tmp_path.iterdir() if one.is_dir()] == ["set"]
