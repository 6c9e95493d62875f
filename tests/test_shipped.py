"""Configs by name: from the command line, as a base, and through mmengine's hub."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmext import shipped
from mmext.cli import configs, main
from mmext.compat import configs as repairs
from mmext.errors import BadInputError
from tests import fresh_process

TREES = "detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees"
SHORT = TREES.rpartition("/")[2]


def test_all_names_lead_to_their_file_and_the_short_ones_are_unique() -> None:
    names = shipped.names()
    assert TREES in names
    assert not [name for name in names if name.startswith("_base_")]
    for name in names:
        for one in (name, f"{name}.py", name.rpartition("/")[2], f"mmext::{name}.py"):
            assert shipped.find(one) == shipped.folder() / f"{name}.py"
    assert shipped.find("_base_/runtime").is_file()


def test_a_name_that_nobody_knows_is_answered_with_near_ones() -> None:
    with pytest.raises(
        BadInputError, match=r"400i_tree: expected a path, or the name .* mean .*400i_trees"
    ):
        shipped.find(SHORT[:-1])
    with pytest.raises(BadInputError, match="mmext configs list shows all"):
        shipped.find("zzz")


def test_a_copy_is_the_same_config_anywhere(tmp_path: Path) -> None:
    for name in shipped.names()[::5]:
        copy = configs.copy(name, tmp_path)
        assert copy.name == f"{name.rpartition('/')[2]}.py"
        assert "../" not in copy.read_text()
        original = Config.fromfile(str(shipped.find(name)), import_custom_modules=False)
        assert (
            Config.fromfile(str(copy), import_custom_modules=False).to_dict() == original.to_dict()
        )


def test_the_command_lists_copies_and_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def said(*words: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["configs", *words])
        assert not end.value.code, end.value.code
        return capsys.readouterr().out.strip()

    monkeypatch.chdir(tmp_path)
    assert said("list").splitlines() == shipped.names()
    assert said("list", "gfl", "trees").splitlines() == configs.listed(["gfl", "trees"])
    assert said("path", SHORT) == str(shipped.folder() / f"{TREES}.py")
    assert said("path") == str(shipped.folder())
    assert said("copy", SHORT) == f"{SHORT}.py"
    assert said("copy", TREES, "mine/first.py") == "mine/first.py"
    for words, sentence in (
        (["copy", SHORT], f"error: {SHORT}.py: expected no such file, got one; remove it"),
        (["path", "zzz"], "error: zzz: expected a path"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["configs", *words])
        assert str(end.value.code).startswith(sentence)


USER = """
    from mmengine.config import Config
    import mmext.compat
    from mmext import shipped

    cfg = Config.fromfile("mine.py")
    ours = Config.fromfile(str(shipped.find("{trees}")))
    assert cfg.model.bbox_head.type == "mmext.GFLHead"
    assert cfg.taken == ours.model.neck, cfg.taken  # without a _scope_ that knows no mmdet
    assert cfg.optim_wrapper == ours.optim_wrapper

    from mmengine.hub import get_config
    for name in ("mmext::{trees}.py", "mmext::{trees}", "mmext::{short}"):
        assert get_config(name).to_dict() == ours.to_dict()
    try:
        get_config("mmext::{trees}.py", pretrained=True)
    except ValueError as error:
        print(error)
    assert mmext.compat.state()["mmext_configs"] == mmext.compat.state()["mmext_hub"] == "applied"
    mmext.compat.undo()
    try:
        Config.fromfile("mine.py")
    except Exception as error:
        print(type(error).__name__)
"""
MINE = f"""
_base_ = "mmext::{TREES}.py"
taken = _base_.model.neck
"""


@pytest.mark.parametrize(
    "head", ["import mmext", "import mmengine.hub, mmext", "import mmengine, mmext"]
)
def test_a_base_and_the_hub_find_ours_in_any_order_of_imports(tmp_path: Path, head: str) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    code = f"\n    {head}" + USER.format(trees=TREES, short=SHORT)
    said = fresh_process.run(code, cwd=tmp_path)
    assert (
        f"mmext::{TREES}.py: expected pretrained=False, since mmext ships no trained weights"
        in said
    )
    assert "\nAssertionError\n" in said  # after undo


def test_the_hub_builds_a_model_whose_parts_are_of_two_scopes() -> None:
    from mmengine.hub import get_model

    model = get_model(f"mmext::{TREES}.py")
    assert type(model).__module__ == "mmdet.models.detectors.gfl"
    assert type(model.bbox_head).__module__ == "mmext.detection.gfl.head"


def test_another_package_goes_mmengine_s_own_way(tmp_path: Path) -> None:
    code = """
        import mmext
        from mmengine.config import Config
        print(Config._get_cfg_path("mmdet::_base_/default_runtime.py", "x.py"))
        print(Config._get_cfg_path("other.py", "folder/x.py"))
    """
    said = fresh_process.run(code, cwd=tmp_path)
    assert "mmdet/.mim/configs/_base_/default_runtime.py', 'mmdet')\n" in said
    assert "('folder/other.py', None)\n" in said


def test_a_base_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text('_base_ = "mmext::detection/gfl/none.py"\n')
    with pytest.raises(
        BadInputError, match=r"^mmext::detection/gfl/none\.py: expected a path, or the name"
    ):
        Config.fromfile(str(tmp_path / "mine.py"))
    assert repairs.SCOPE == shipped.SCOPE
