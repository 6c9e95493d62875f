"""--resume goes on from the newest readable checkpoint, or stops; it writes over none of them."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from mmext.compat.resuming import newest
from mmext.errors import BadInputError
from tests.fresh_process import run
from tests.test_compat import TOY


class Runs:
    def __reduce__(self) -> tuple:
        return os.system, ("touch canary",)


def save(folder: Path, name: str, iteration: int, **more: object) -> Path:
    """A checkpoint as a Runner writes it."""
    content = dict(
        meta=dict(iter=iteration), message_hub={}, optimizer={}, state_dict=dict(a=torch.ones(500))
    )
    torch.save({**content, **more}, folder / name)
    return folder / name


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def overwrite(file: Path) -> None:
    """Damage in the middle: the table of contents at the end is whole."""
    content = bytearray(file.read_bytes())
    place = content.index(b"\x00\x00\x80?" * 100)
    content[place : place + 8] = b"damaged!"
    file.write_bytes(content)


DAMAGES = [
    cut,
    overwrite,
    lambda file: file.write_bytes(b""),
    lambda file: file.write_text("<html>not found"),
]
each_damage = pytest.mark.parametrize(
    "damage", DAMAGES, ids=["cut", "overwritten", "empty", "text"]
)


def test_the_recorded_checkpoint_comes_first(tmp_path: Path) -> None:
    save(tmp_path, "iter_9.pth", 9)
    (tmp_path / "last_checkpoint").write_text(str(save(tmp_path, "iter_3.pth", 3)))
    assert newest(tmp_path) == str(tmp_path / "iter_3.pth")


@pytest.mark.parametrize(
    "said", [None, "", "/gone/iter_7.pth", "C:\\gone\\iter_7.pth", b"\xff\xfe"]
)
def test_without_a_record_that_leads_anywhere_the_farthest_counts(
    tmp_path: Path, said: str | bytes | None
) -> None:
    for name, iteration in (("iter_10.pth", 10), ("iter_9.pth", 9), ("epoch_2.pth", 8)):
        save(tmp_path, name, iteration)
    torch.save(
        dict(state_dict=dict(a=torch.ones(1)), meta=dict(iter=99)), tmp_path / "best_iter_99.pth"
    )
    (tmp_path / "notes.txt").write_text("no checkpoint")
    if said is not None:
        (tmp_path / "last_checkpoint").write_bytes(
            said if isinstance(said, bytes) else said.encode()
        )
    assert newest(tmp_path) == str(tmp_path / "iter_10.pth")


@pytest.mark.parametrize(
    "said", ["/gone/wd/iter_3.pth", "wd/iter_3.pth", "C:\\gone\\wd\\iter_3.pth"]
)
def test_a_work_dir_that_was_moved_keeps_its_record(tmp_path: Path, said: str) -> None:
    save(tmp_path, "iter_9.pth", 9)
    save(tmp_path, "iter_3.pth", 3)
    (tmp_path / "last_checkpoint").write_text(said)
    assert newest(tmp_path) == str(tmp_path / "iter_3.pth")


@each_damage
@pytest.mark.parametrize("recorded", [True, False])
def test_what_cannot_be_read_is_passed_over_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage, recorded: bool
) -> None:
    save(tmp_path, "iter_3.pth", 3)
    damage(save(tmp_path, "iter_9.pth", 9))
    if recorded:
        (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_9.pth"))
    assert newest(tmp_path) == str(tmp_path / "iter_3.pth")
    assert "iter_9.pth cannot be read" in caplog.text


@each_damage
def test_a_run_stops_rather_than_write_over_what_it_cannot_read(tmp_path: Path, damage) -> None:
    damage(save(tmp_path, "epoch_1.pth", 9))
    with pytest.raises(
        BadInputError, match=r"got 1 that cannot be read \(.*epoch_1\.pth: .*; copy them again"
    ):
        newest(tmp_path)


def test_nothing_to_go_on_from_is_none(tmp_path: Path) -> None:
    assert newest(tmp_path / "missing") is None
    assert newest(tmp_path) is None
    torch.save(dict(a=torch.ones(1)), tmp_path / "pretrained.pth")
    assert newest(tmp_path) is None


def test_a_recorded_file_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path, "iter_9.pth", 9, extra=Runs())
    (tmp_path / "last_checkpoint").write_text(str(file))
    with pytest.raises(BadInputError, match=r"iter_9\.pth: refused before anything of it ran"):
        newest(tmp_path)


def in_ranks(rank: int, folder: str) -> str:
    from mmext.compat.resuming import newest_for_all_ranks

    try:
        return str(newest_for_all_ranks(folder if rank == 0 else f"{folder}/elsewhere"))
    except BadInputError as error:
        return f"refused {error}"


def test_all_ranks_take_the_first_one_s_word(tmp_path: Path, two_ranks) -> None:
    file = save(tmp_path, "iter_3.pth", 3)
    assert two_ranks(in_ranks, str(tmp_path)) == [str(file)] * 2
    cut(file)
    told = two_ranks(in_ranks, str(tmp_path))
    assert told[0] == told[1]
    assert "cannot be read" in told[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of two epochs, whose data set speaks of itself in arrays and more."""
    folder = tmp_path_factory.mktemp("trained")
    text = TOY.replace(
        "def loader():",
        """class Set(list):
    import collections, pathlib
    metainfo = dict(
        classes=("a", "b"), palette=np.array([[1, 2, 3], [4, 5, 6]], np.uint8),
        ids=np.arange(3, dtype="u2"), counts=collections.defaultdict(int, a=1),
        root=pathlib.Path("data"),
    )

def loader():""",
    ).replace("[torch.ones(2) * i for i in range(4)]", "Set(torch.ones(2) * i for i in range(4))")
    (folder / "toy.py").write_text(text)
    run("import mmext, toy; toy.runner('wd', 2).train()", cwd=folder)
    return folder


GO_ON = """
import mmext, toy
runner = toy.runner("wd", 3, resume=True)
runner.train()
print("went on to", runner.epoch)
"""


def test_a_runner_goes_on_from_what_it_wrote_itself(trained: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "copy"))  # so the recorded path has moved
    (folder / "wd" / "last_checkpoint").unlink()
    said = run(GO_ON, cwd=folder)
    assert "went on to 3" in said
    assert "Epoch(val) [1]" not in said, "it must not begin anew"


def test_without_the_repair_mmengine_begins_anew(trained: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "copy"))
    (folder / "wd" / "last_checkpoint").unlink()
    assert "Epoch(val) [1]" in run(GO_ON, cwd=folder, MMEXT_COMPAT="newest_checkpoint")
