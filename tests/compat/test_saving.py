"""A run that is killed while it saves loses at most that checkpoint; what it saves can be read."""

import collections
import datetime
import enum
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict

from mmext.compat.saving import plain, plain_meta
from tests.fresh_process import run
from tests.test_compat import TOY

# Train with one checkpoint kept, and die by SIGKILL at an event of the saving of the fourth epoch.
KILLED = """
import os, signal, sys
import mmext, toy
def watch(name, args):
    if name == "{event}" and any("{word}" in str(one) for one in args):
        os.kill(os.getpid(), signal.SIGKILL)
runner = toy.runner("wd", 4)
for hook in runner.hooks:
    if type(hook).__name__ == "CheckpointHook":
        hook.interval, hook.max_keep_ckpts, hook.save_best = 1, 1, None
sys.addaudithook(watch)
runner.train()
"""
RESUME = "import mmext, toy; toy.runner('wd', 4, resume=True).train()"


def die(folder: Path, event: str, word: str, **env: str) -> None:
    (folder / "toy.py").write_text(TOY)
    with pytest.raises(AssertionError, match="exit status -9"):
        run(KILLED.format(event=event, word=word), cwd=folder, **env)


# "open" comes before the file exists, "os.rename" when its copy is complete, "os.remove" when it is
# in place.
@pytest.mark.parametrize(
    ("event", "word", "epoch"),
    [("open", "epoch_4.pth", 3), ("os.rename", "epoch_4.pth", 3), ("os.remove", "epoch_3.pth", 4)],
)
def test_a_kill_at_any_moment_of_saving_leaves_something_to_go_on_from(
    tmp_path: Path, event: str, word: str, epoch: int
) -> None:
    die(tmp_path, event, word)
    assert f"resumed epoch: {epoch}, " in run(RESUME, cwd=tmp_path)


def test_without_the_repairs_the_same_kill_loses_everything(tmp_path: Path) -> None:
    die(tmp_path, "open", "epoch_4.pth", MMEXT_COMPAT="whole_checkpoints")
    assert not list((tmp_path / "wd").glob("epoch_*.pth"))


def test_a_write_that_is_cut_off_leaves_the_old_file(tmp_path: Path) -> None:
    out = run(
        """
        import resource, signal, mmext
        from pathlib import Path
        from mmengine.hooks import CheckpointHook  # the repair waits for it
        from mmengine.fileio import LocalBackend
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        LocalBackend().put(b"old", "x.pth")
        Path("link.pth").symlink_to("x.pth")
        # as a disk that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        try:
            LocalBackend().put(bytes(5000), "link.pth")
        except OSError as error:
            print("error")
        files = sorted(map(str, Path().iterdir()))
        print(Path("x.pth").read_bytes(), Path("link.pth").is_symlink(), files)
        """,
        cwd=tmp_path,
    )
    assert out.splitlines()[-2:] == ["error", "b'old' True ['link.pth', 'x.pth']"]


class Kind(enum.IntEnum):
    TREE = 3


class Mine:
    def __repr__(self) -> str:
        return "Mine()"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (collections.defaultdict(int, a=1), {"a": 1}),
        (collections.deque([1, 2], 5), [1, 2]),
        (collections.namedtuple("Pair", "a b")(1, 2), (1, 2)),
        (Kind.TREE, 3),
        ({Kind.TREE: Path("a") / "b"}, {3: "a/b"}),
        (np.array(["a", None], dtype=object), ["a", None]),
        (ConfigDict(classes=("a", "b"), more=dict(x=1)), {"classes": ("a", "b"), "more": {"x": 1}}),
        ([np.str_("a"), datetime.date(2020, 1, 2)], ["a", datetime.date(2020, 1, 2)]),
    ],
)
def test_what_the_reader_would_refuse_becomes_plain(
    value: object, wanted: object, tmp_path: Path
) -> None:
    lost: list[str] = []
    made = plain(value, "meta", lost)
    assert made == wanted
    assert type(made) is type(wanted)
    assert lost == []
    torch.save(plain_meta(dict(meta=value)), tmp_path / "x.pth")
    torch.load(tmp_path / "x.pth", weights_only=True)


def test_a_class_of_somebody_s_own_leaves_its_text_and_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    saved = plain_meta(dict(meta=dict(dataset_meta=dict(owner=Mine())), state_dict=1))
    assert saved == dict(meta=dict(dataset_meta=dict(owner="Mine()")), state_dict=1)
    assert "meta.dataset_meta.owner is a tests.compat.test_saving.Mine" in caplog.text


def test_arrays_and_tensors_stay_as_they_are() -> None:
    for one in (
        np.zeros((2, 3), np.uint8),
        np.float32(1),
        torch.ones(2),
        torch.float16,
        "a",
        None,
        {1, 2},
    ):
        assert plain(one, "", []) is one or isinstance(one, set)
