"""mmext's parts are found in any default scope and import order, with any other host missing."""

from pathlib import Path

import pytest

from tests.fresh_process import BLOCK, run

BUILD = """
from mmengine.registry import MODELS, DefaultScope, init_default_scope
def head():
    return MODELS.build(dict(type="mmext.GFLHead", num_classes=2, in_channels=8))
"""


@pytest.mark.parametrize(
    ("scope", "first"),
    [
        ("mmdet", ""),
        ("mmseg", ""),
        (None, ""),
        # mmaction2's wheel cannot be imported without mmext's repair, so there custom_imports is a
        # must.
        ("mmaction", "import mmext"),
    ],
)
def test_a_type_resolves_and_builds_from_any_default_scope(
    tmp_path: Path, scope: str | None, first: str
) -> None:
    run(
        first
        + BUILD
        + f"""
scope = {scope!r}
if scope:
    init_default_scope(scope)
one = head()
assert type(one).__module__.startswith("mmext.detection.gfl"), type(one)
assert type(one.loss_cls).__module__.startswith("mmext.detection.gfl"), type(one.loss_cls)
# and once more as custom_imports does it
from mmengine.utils import import_modules_from_strings
import_modules_from_strings(["mmext"])
assert type(head()) is type(one)
""",
        cwd=tmp_path,
    )


@pytest.mark.parametrize("first", ["hosts", "mmext"])
def test_the_order_of_imports_does_not_matter_and_nothing_of_upstream_is_overwritten(
    tmp_path: Path, first: str
) -> None:
    imports = [
        "import mmdet.models, mmseg.models, mmcv",
        "import mmext, mmext.registry, mmext.detection.papers",
    ]
    if first == "mmext":
        # mmaction comes second in both orders: without mmext's repair, its wheel cannot be
        # imported.
        imports.reverse()
    run(
        "\n".join([*imports, "import mmext, mmaction.models"])
        + BUILD
        + """
import importlib, mmext.registry
for task in mmext.registry.TASKS:
    mmext.registry.load_task(task)
before = {one.name: dict(one.module_dict) for one in mmext.registry.ALL}
for task in mmext.registry.TASKS:
    mmext.registry.load_task(task)
importlib.import_module("mmext.registry")
assert before == {one.name: dict(one.module_dict) for one in mmext.registry.ALL}
assert all(
    part.__module__.startswith("mmext.")
    for one in mmext.registry.ALL
    for part in one.module_dict.values()
)
for scope in ("mmdet", "mmseg", "mmaction"):
    with DefaultScope.overwrite_default_scope(scope):
        assert type(head()).__module__ == "mmext.detection.gfl.head"
        assert MODELS.get("mmdet.GFLHead").__module__ == "mmdet.models.dense_heads.gfl_head"
mmdets = DefaultScope.overwrite_default_scope("mmdet")
with mmdets, MODELS.switch_scope_and_registry(None) as registry:
    assert registry.get("GFLHead").__module__ == "mmdet.models.dense_heads.gfl_head"
""",
        cwd=tmp_path,
    )


def test_detection_needs_no_other_host(tmp_path: Path) -> None:
    run(
        BLOCK
        + """
sys.meta_path.insert(0, Block("mmseg", "mmaction"))
"""
        + BUILD
        + """
init_default_scope("mmdet")
assert type(head()).__module__ == "mmext.detection.gfl.head"
""",
        cwd=tmp_path,
    )


def test_a_missing_host_is_named_when_and_only_when_a_part_of_it_is_asked_for(
    tmp_path: Path,
) -> None:
    out = run(
        BLOCK
        + """
sys.meta_path.insert(0, Block("mmdet"))
import mmext, mmext.registry
import mmengine.model, mmengine.optim
"""
        + BUILD
        + """
assert mmext.registry.MODELS.get("ImgDataPreprocessor") is mmengine.model.ImgDataPreprocessor
assert mmext.registry.OPTIM_WRAPPERS.get("OptimWrapper") is mmengine.optim.OptimWrapper
for ask in (head, head, lambda: mmext.registry.MODELS.get("GFLHead")):
    try:
        ask()
    except ImportError as error:
        print("SENTENCE", error)
""",
        cwd=tmp_path,
    )
    sentences = [line for line in out.splitlines() if line.startswith("SENTENCE")]
    assert len(sentences) == 3, out
    for line in sentences:
        assert "mmext.GFLHead" in line
        assert "mmdet" in line
        assert "pip install" in line


def test_a_host_that_breaks_while_it_is_imported_is_told_with_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "mmdet").mkdir()
    (tmp_path / "mmdet" / "__init__.py").write_text(
        "assert False, 'MMCV==9.9 is used but incompatible'\n"
    )
    out = run(
        BUILD
        + """
import sys
sys.path.insert(0, ".")
try:
    head()
except ImportError as error:
    print("SENTENCE", error)
""",
        cwd=tmp_path,
    )
    (line,) = [line for line in out.splitlines() if line.startswith("SENTENCE")]
    assert "MMCV==9.9 is used but incompatible" in line


def test_a_host_that_breaks_does_not_hide_the_parts_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "mmaction").mkdir()
    (tmp_path / "mmaction" / "__init__.py").write_text("import no_such_package\n")
    run(
        """
import sys
sys.path.insert(0, ".")
from mmengine.config import Config
from mmext import registry
from mmext.engine.config import check_types
for one in registry.ALL:  # the others look for the name as well
    assert (one.get("mmext.SACBackbone") is not None) == (one is registry.MODELS)
check_types(Config(dict(model=dict(type="mmext.SACBackbone"), default_scope="mmdet")))
assert "action" in registry._failures
try:
    registry.MODELS.get("mmext.ResNetSTM")
except ImportError as error:
    assert "no_such_package" in str(error)
else:
    raise AssertionError("a part of the broken host")
""",
        cwd=tmp_path,
    )


def test_a_misspelt_name_is_not_taken_for_a_missing_host(tmp_path: Path) -> None:
    run(
        BUILD
        + """
guesses = {"mmext.GFLHed": "did you mean mmext.GFLHead?", "mmext.NoSuchPart": "registry"}
for name, guess in guesses.items():
    try:
        MODELS.build(dict(type=name))
    except KeyError as error:
        assert name in str(error)
        assert guess in str(error), error
    else:
        raise AssertionError(name)
""",
        cwd=tmp_path,
    )
