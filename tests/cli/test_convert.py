"""mmext convert uses the one safe reader: a bad file gets its sentence, and nothing is written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mmext.cli.convert import main


class Runs:
    def __reduce__(self) -> tuple:
        return os.system, ("touch canary",)


def cut(path: Path) -> None:
    torch.save(dict(net=dict(a=torch.ones(900))), path)
    path.write_bytes(path.read_bytes()[:-300])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "not found, expected a checkpoint"),
    "empty": (lambda path: path.touch(), "expected a checkpoint, got an empty file; copy it again"),
    "cut": (cut, "expected a whole checkpoint, got one that is cut off or damaged; copy it again"),
    "text": (
        lambda path: path.write_text("<html>"),
        "got a file that starts with b'<htm'; check the path",
    ),
    "poison": (
        lambda path: torch.save(dict(net=dict(a=torch.ones(1)), step=Runs()), path),
        "refused before anything of it ran, expected data, got a use of posix.system at step",
    ),
    "no state dict": (lambda path: torch.save([1, 2], path), "expected a state dict of tensors"),
    "no tensors": (lambda path: torch.save(dict(net={}), path), "expected a state dict of tensors"),
    "another net": (
        lambda path: torch.save(dict(net={"backbone.conv1": torch.ones(1)}), path),
        "backbone.conv1: expected a name of the authors' EMANet",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_its_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, sentence = BAD[name]
    make(tmp_path / "theirs.pth")
    with pytest.raises(SystemExit) as end:
        main(["emanet", "theirs.pth", "ours.pth"])
    assert str(end.value.code).startswith("error: ")
    assert sentence in str(end.value.code)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "theirs.pth") == []


def test_a_good_file_goes_into_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    torch.save(dict(net={"module.fc0.conv.weight": torch.ones(2)}), tmp_path / "theirs.pth")
    main(["emanet", str(tmp_path / "theirs.pth"), str(tmp_path / "new" / "ours.pth")])
    assert list(torch.load(tmp_path / "new" / "ours.pth")) == ["state_dict"]
