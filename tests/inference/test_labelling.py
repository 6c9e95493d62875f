"""Shards: a killed run goes on, gives the same, and refuses what another run has left."""

import os
import signal

import pytest

from mmext.errors import BadInputError
from mmext.inference.labelling import Shards, pictures_below

NAMES = [f"{number}.jpg" for number in range(7)]


def find(name):
    return dict(file=name, objects=[name.upper()])


def shards(folder, **identity):
    return Shards(folder, NAMES, size=3, identity={"checkpoint": "aa", **identity})


def test_a_killed_run_goes_on_and_gives_the_same(tmp_path):
    whole = shards(tmp_path / "whole")
    whole.fill(find)
    pid = os.fork()
    if pid == 0:

        def dies(name):
            if name == "4.jpg":
                os.kill(os.getpid(), signal.SIGKILL)
            return find(name)

        shards(tmp_path / "cut").fill(dies)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    cut, looked, said = shards(tmp_path / "cut"), [], []
    assert cut.file(0).is_file()
    assert not cut.file(1).is_file()
    cut.fill(lambda name: looked.append(name) or find(name), said.append)
    assert looked == NAMES[3:]
    assert said == ["6 of 7 pictures", "7 of 7 pictures"]
    assert list(cut) == list(whole) == [find(name) for name in NAMES]
    files = [sorted(p.read_bytes() for p in one.folder.rglob("*.json")) for one in (cut, whole)]
    assert files[0] == files[1]


def test_shards_of_another_run_are_refused(tmp_path):
    shards(tmp_path)
    shards(tmp_path)
    with pytest.raises(BadInputError, match=r"this checkpoint gives \(bb\), got that of .*\(aa\)"):
        shards(tmp_path, checkpoint="bb")
    with pytest.raises(BadInputError, match="what this pictures gives"):
        Shards(tmp_path, NAMES[1:], size=3, identity={"checkpoint": "aa"})


def test_pictures_are_found_below_and_none_is_said(tmp_path):
    with pytest.raises(BadInputError, match="not found, expected a folder"):
        pictures_below(tmp_path / "no")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(BadInputError, match=r"expected pictures .*, got none"):
        pictures_below(tmp_path)
    (tmp_path / "b").mkdir()
    for name in ("b/1.PNG", "c.jpg"):
        (tmp_path / name).touch()
    assert pictures_below(tmp_path) == ["b/1.PNG", "c.jpg"]
