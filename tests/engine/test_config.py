"""Misspelt types are found, and the hosts' own configs raise no false alarm."""

import importlib.util
from pathlib import Path

import pytest

from mmext.engine.config import check_types, load_config
from mmext.errors import BadInputError
from tests.fresh_process import run

STOCK = {
    "mmdet": [
        "gfl/gfl_r50_fpn_1x_coco.py",
        "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
        "detectors/htc_r50-rfp_1x_coco.py",  # own layers named by strings
        "rtmdet/rtmdet_s_8xb32-300e_coco.py",
        "mask2former/mask2former_r50_8xb2-lsj-50e_coco.py",
        # adapt_cfg=dict(type="dilation")
        "cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py",
        "bytetrack/bytetrack_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval.py",
        "albu_example/mask-rcnn_r50_fpn_albu-1x_coco.py",  # types of another library
    ],
    "mmseg": [
        "dnlnet/dnl_r50-d8_4xb4-80k_ade20k-512x512.py",
        "emanet/emanet_r50-d8_4xb2-80k_cityscapes-769x769.py",
        "mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024.py",  # types of mmdet
        "vpd/vpd_sd_4xb8-25k_nyu-512x512.py",
    ],
    "mmaction": [
        "recognition/tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb.py",
        "recognition/tsm/tsm_imagenet-pretrained-r50-nl-dot-product_8xb16-1x1x8-50e_kinetics400-rgb.py",
        "recognition/slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb.py",  # type="resnet3d"
        # _scope_
        "detection/slowfast/slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb.py",
    ],
}


def stock(host: str) -> list[Path]:
    spec = importlib.util.find_spec(host)
    root = Path(spec.origin if spec and spec.origin else ".").parent / ".mim" / "configs"
    return [root / name for name in STOCK[host]]


@pytest.mark.parametrize("host", STOCK)
def test_the_hosts_configs_raise_no_alarm(tmp_path: Path, host: str) -> None:
    files = stock(host)
    if not files[0].parents[1].is_dir():
        pytest.skip(f"this distribution of {host} ships no configs")
    out = run(
        f"""
        import mmext  # as custom_imports does
        from mmext.engine.config import check_types, load_config
        for file in {[str(file) for file in files]!r}:
            check_types(load_config(file))
            print("fine")
        """,
        cwd=tmp_path,
    )
    assert out.count("fine") == len(files)


def write(tmp_path: Path, text: str) -> str:
    file = tmp_path / "config.py"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model = dict(neck=[dict(type='BaseModl')])", ["model.neck[0].type", "'BaseModl'"]),
        (
            "optim_wrapper = dict(type='OptimWraper')",
            ["optim_wrapper.type", "did you mean OptimWrapper"],
        ),
        ("custom_hooks = [dict(type='EMAHok')]", ["custom_hooks[0].type", "EMAHook"]),
        ("model = dict(type='no_such_package.Net')", ["needs", "no_such_package"][1:]),
        ("model = dict(type='mmengine.NoSuchModel')", ["mmengine.NoSuchModel", "custom_imports"]),
    ],
)
def test_an_unknown_type_is_named_with_its_place_and_what_comes_near(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(BadInputError) as caught:
        check_types(load_config(file))
    for word in [file, *words]:
        assert word in str(caught.value)


def test_what_is_never_built_is_not_looked_up(tmp_path: Path) -> None:
    text = (
        "old = [dict(type='Collect')]\n"
        "model = dict(type='mmengine.model.BaseModel', mode=dict(type='max'))\n"
    )
    check_types(load_config(write(tmp_path, text)))


def test_types_given_as_classes_are_fine(tmp_path: Path) -> None:
    text = (
        "from mmengine.model import ImgDataPreprocessor\nmodel = dict(type=ImgDataPreprocessor)\n"
    )
    check_types(load_config(write(tmp_path, text)))


def test_options_are_merged(tmp_path: Path) -> None:
    cfg = load_config(write(tmp_path, "a = dict(b=1)\n"), {"a.b": 2})
    assert cfg.a.b == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [("a = (\n", "SyntaxError"), ("_base_ = 'nobody.py'\n", "nobody.py"), ("a = b\n", "NameError")],
)
def test_a_config_that_is_none_is_named_in_one_line(tmp_path: Path, text: str, word: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(BadInputError) as caught:
        load_config(file)
    assert file in str(caught.value)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
