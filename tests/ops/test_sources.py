"""Who serves mmcv's operators, and what is said where nobody can."""

import json
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from mmext.ops import finder, switch, table
from tests.fresh_process import ROOT
from tests.fresh_process import run_from_nothing as run
from tests.mmcv_extension import compiled_only

START = (ROOT / "mmext" / "start.pth").read_text()
WITHOUT = f"""
import sys
from importlib.machinery import PathFinder
plain = PathFinder.find_spec
# mmcv without its extension, whatever is installed
PathFinder.find_spec = lambda name, *rest: None if name == "mmcv._ext" else plain(name, *rest)
{START}
"""
NO_VISION = """
class NoVision:
    def find_spec(name, path=None, target=None):
        if name == "torchvision":
            raise ModuleNotFoundError("No module named 'torchvision'", name=name)
sys.meta_path.insert(0, NoVision)
"""
ASK = """
import torch, mmcv.ops, mmext.ops
boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
print(mmcv.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)[1].tolist())
found = mmext.ops.sources()
names = ("nms", "roi_align", "modulated_deform_conv", "carafe")
print(*(f"{name}={found[name]}" for name in names))
"""


def fails(code: str, *, cwd: Path, **env: str) -> str:
    """How a process ends that must fail: the kind of error and its text."""
    caught = f"""
try:
    exec({code!r})
except Exception as error:
    print("ended by", type(error).__name__, error)
else:
    print("ended by nothing")
"""
    (last,) = (
        line for line in run(caught, cwd=cwd, **env).splitlines() if line.startswith("ended by ")
    )
    return last.removeprefix("ended by ")


def test_plain_pytorch_serves_where_there_is_nothing_else(tmp_path):
    out = run(WITHOUT + NO_VISION + ASK, cwd=tmp_path)
    assert "[0, 2]" in out
    assert "nms=torch roi_align=torch modulated_deform_conv=torch carafe=torch" in out
    assert "WARNING" not in out  # torchvision is an option


@pytest.mark.skipif(
    switch.torchvision_error() is not None, reason="needs a torchvision that fits torch"
)
def test_torchvision_serves_what_it_has_and_can_be_switched_off(tmp_path):
    out = run(WITHOUT + ASK, cwd=tmp_path)
    assert (
        "nms=torchvision roi_align=torchvision modulated_deform_conv=torchvision carafe=torch"
        in out
    )
    assert "nms=torch roi_align=torch modulated" in run(
        WITHOUT + ASK, cwd=tmp_path, MMEXT_OPS="torch"
    )
    assert "nms=torchvision" in run(WITHOUT + ASK, cwd=tmp_path, MMEXT_OPS="torchvision")


@compiled_only
def test_mmcvs_own_extension_comes_first_and_can_be_passed_over(tmp_path):
    assert "nms=mmcv roi_align=mmcv modulated_deform_conv=mmcv carafe=mmcv" in run(
        START + ASK, cwd=tmp_path
    )
    assert "nms=mmcv" in run(START + ASK, cwd=tmp_path, MMEXT_OPS="mmcv")
    assert "nms=torch roi_align=torch" in run(START + ASK, cwd=tmp_path, MMEXT_OPS="torch")


def test_off_leaves_mmcv_as_it_is(tmp_path):
    last = fails(WITHOUT + "import mmcv.ops", cwd=tmp_path, MMEXT_OPS="off")
    assert last == "ModuleNotFoundError No module named 'mmcv._ext'"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("cuda", ("MMEXT_OPS=cuda", "mmcv, torchvision, torch, off", "unset it")),
        ("mmcv", ("MMEXT_OPS=mmcv", "without", "make setup OPS=mmcv")),
    ],
)
def test_a_switch_that_cannot_be_followed_is_one_sentence(tmp_path, value, said):
    last = fails(WITHOUT + "import mmcv.ops", cwd=tmp_path, MMEXT_OPS=value)
    assert last.startswith("ImportError")
    assert all(part in last for part in said), last


def test_torchvision_that_is_forced_and_missing_is_one_sentence(tmp_path):
    last = fails(WITHOUT + NO_VISION + ASK, cwd=tmp_path, MMEXT_OPS="torchvision")
    assert last.startswith(
        "ImportError MMEXT_OPS=torchvision: expected a torchvision that fits torch"
    )
    assert "not installed" in last


def test_a_torchvision_of_another_build_is_named_once_and_passed_over(tmp_path):
    (tmp_path / "torchvision.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    out = run(
        "import logging; logging.basicConfig()\n" + WITHOUT + ASK,
        cwd=tmp_path,
        PYTHONPATH=f"{tmp_path}:{ROOT}",
    )
    assert "nms=torch roi_align=torch" in out
    assert out.count("operator torchvision::nms does not exist") == 1
    assert "expected a torchvision of the same build as torch" in out


def test_an_extension_for_another_torch_is_named_and_passed_over(tmp_path):
    broken = tmp_path / f"_ext{EXTENSION_SUFFIXES[0]}"
    broken.write_bytes(b"\x7fELF, but no more")
    code = f"""
import logging; logging.basicConfig()
{START}
import mmcv
mmcv.__path__.insert(0, {str(tmp_path)!r})
{ASK}
"""
    out = run(code, cwd=tmp_path)
    assert "nms=torch" in out
    assert f"{broken}: expected mmcv's extension to be built for the installed torch" in out
    assert "make setup OPS=mmcv" in out


def test_each_operator_is_logged_once_with_its_source(tmp_path):
    code = (
        WITHOUT
        + "import logging; logging.basicConfig(level='INFO')\n"
        + ASK
        + "mmcv.ops.nms(boxes, boxes[:, 0], 0.5)"
    )
    out = run(code, cwd=tmp_path, MMEXT_OPS="torch")
    assert out.count("mmcv's operator nms is served by torch") == 1


def test_an_operator_that_nobody_serves_says_its_name_and_what_to_do():
    with pytest.raises(NotImplementedError, match=r"'nms_rotated'.*make setup OPS=mmcv"):
        table.operator("nms_rotated")(1, 2)


def test_the_hosts_import_without_a_word_of_mmext(tmp_path):
    code = WITHOUT + "import mmdet.models, mmseg.models\nprint(sys.modules['mmcv._ext'].__file__)"
    assert run(code, cwd=tmp_path).splitlines()[-1] == str(finder.STAND_IN)


def test_every_operator_of_mmcv_that_a_host_imports_is_served(tmp_path):
    """Search the hosts for names out of ``mmcv.ops`` whose functions we do not serve."""
    code = (
        WITHOUT
        + r"""
import ast, importlib.util, inspect, json, pathlib, re
import mmcv.ops
from mmext.ops import table
table.load()
asked = set()
for host in ("mmdet", "mmseg", "mmaction"):
    for file in pathlib.Path(importlib.util.find_spec(host).origin).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mmcv.ops"):
                asked |= {(node.module, alias.name) for alias in node.names}
# Named in configs, and looked up in the registry or in mmcv.ops itself.
named = '''soft_nms DeformRoIPoolPack ModulatedDeformRoIPoolPack SAConv2d
ModulatedDeformConv2dPack DeformConv2dPack SyncBatchNorm CARAFENaive'''.split()
asked |= {("mmcv.ops", name) for name in named}
missing = set()
for module, name in asked:
    found = getattr(importlib.import_module(module), name)
    # a function may be a class's apply
    source = inspect.getmodule(getattr(found, "__self__", found))
    used = set(re.findall(r"ext_module\.(\w+)\(", inspect.getsource(source)))
    missing |= {one for one in used if one not in table._functions}
print(json.dumps(sorted(missing)))
print(len(asked))
"""
    )
    missing, number = run(code, cwd=tmp_path).splitlines()[-2:]
    # Those beside nms are for boxes that have angles, which no host has. The forks' CLRHead, for
    # lanes, is no model of mmdet 3.3: its NMS is left to mmcv's own extension.
    assert set(json.loads(missing)) - {"line_nms_forward"} == {"nms_quadri", "nms_rotated"}
    assert int(number) > 20


def test_starting_python_costs_next_to_nothing(tmp_path):
    code = START + (
        "import json, decimal, email\nprint(sorted(set(sys.modules) & {'mmext', 'torch', 'numpy'}))"
    )
    assert run(f"import sys\n{code}", cwd=tmp_path).splitlines()[-1] == "[]"
