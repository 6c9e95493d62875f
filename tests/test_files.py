"""Files that are whole or missing: after an error, after a kill, with two writers at once."""

import signal
import subprocess
import sys

import pytest

from mmext.files import replacing, write_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from mmext.files import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_text("ne")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_texts_and_bytes_are_written_as_they_are(tmp_path):
    assert write_whole(tmp_path / "a" / "b" / "text", "ä\n") == tmp_path / "a" / "b" / "text"
    assert (tmp_path / "a" / "b" / "text").read_bytes() == "ä\n".encode()
    write_whole(tmp_path / "bytes", b"\0\r\n")
    write_whole(tmp_path / "bytes", b"\1\r\n")
    assert (tmp_path / "bytes").read_bytes() == b"\1\r\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "bytes"]


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path):
    file = write_whole(tmp_path / "file", "old")

    def interrupted():
        with replacing(file) as part:
            part.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_kill_leaves_what_was_there(tmp_path):
    file = write_whole(tmp_path / "file.json", "old")
    assert subprocess.run([sys.executable, "-c", KILLED, str(file)]).returncode == -signal.SIGKILL
    assert file.read_text() == "old"
    assert list(tmp_path.glob("*.json")) == [file]  # nobody takes the rest for a file


def test_writers_at_once_do_not_share_a_place(tmp_path):
    file = tmp_path / "file"
    with replacing(file) as one:
        one.write_text("long")
        with replacing(file) as other:
            other.write_text("b")
        assert file.read_text() == "b"
    assert file.read_text() == "long"
    assert list(tmp_path.iterdir()) == [file]
