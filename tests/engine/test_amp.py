"""--amp: the precision that was asked for, in the wrapper that this machine can run."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

from mmext.cli import train
from mmext.engine import amp, launch
from mmext.errors import BadInputError

CPU = not torch.cuda.is_available()


def configured(*flags: str, **wrapper: object) -> Config:
    wrapper = {"type": "OptimWrapper", "optimizer": dict(type="SGD", lr=0.1), **wrapper}
    cfg = Config(dict(optim_wrapper=wrapper, custom_imports=dict(imports="mmext")))
    launch.configure_training(cfg, train.parse_args(["configs/some.py", *flags]))
    return cfg


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that says it has one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.skipif(not CPU, reason="the CPU's way")
@pytest.mark.parametrize("flags", [["--amp"], ["--amp-dtype", "bfloat16"]])
@pytest.mark.parametrize(
    "wrapper",
    [
        dict(loss_scale="dynamic"),
        dict(type=OptimWrapper),
        dict(type=AmpOptimWrapper, dtype="float16", loss_scale=512.0),
        dict(type="mmext.Bfloat16OptimWrapper"),
        dict(type="mmengine.AmpOptimWrapper"),
    ],
)
def test_on_a_cpu_it_is_bfloat16_without_a_loss_scale(flags: list[str], wrapper: dict) -> None:
    cfg = configured(*flags, **wrapper)
    assert not {"loss_scale", "dtype"} & set(cfg.optim_wrapper)
    assert cfg.custom_imports["imports"] == ["mmext", "mmext.engine.amp"]
    net = torch.nn.Linear(2, 2)
    made = OPTIM_WRAPPERS.build(
        dict(type=cfg.optim_wrapper.type, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    )
    with made.optim_context(net):
        assert net(torch.ones(1, 2)).dtype is torch.bfloat16
    assert net(torch.ones(1, 2)).dtype is torch.float32


def test_float16_needs_a_gpu() -> None:
    if CPU:
        with pytest.raises(
            BadInputError, match="float16: expected a GPU, torch finds none; take bfloat16"
        ):
            configured("--amp-dtype", "float16")


@pytest.mark.parametrize(
    ("flags", "wrapper", "kind"),
    [
        (["--amp"], {}, "AmpOptimWrapper"),
        (
            ["--amp-dtype", "float16"],
            dict(type=AmpOptimWrapper, dtype="bfloat16"),
            "AmpOptimWrapper",
        ),
        (["--amp"], dict(type=AmpOptimWrapper, dtype="bfloat16"), "mmext.Bfloat16OptimWrapper"),
        (["--amp-dtype", "bfloat16"], dict(loss_scale=512.0), "mmext.Bfloat16OptimWrapper"),
        (["--amp"], dict(type="mmext.Bfloat16OptimWrapper"), "mmext.Bfloat16OptimWrapper"),
    ],
)
def test_on_a_gpu_the_flag_then_the_config_decides(
    gpu: None, flags: list[str], wrapper: dict, kind: str
) -> None:
    cfg = configured(*flags, **wrapper)
    assert cfg.optim_wrapper.type == kind
    assert cfg.optim_wrapper.get("loss_scale") == ("dynamic" if kind == "AmpOptimWrapper" else None)
    assert "dtype" not in cfg.optim_wrapper


@pytest.mark.gpu
@pytest.mark.skipif(CPU, reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", amp.DTYPES)
def test_a_gpu_computes_in_it(dtype: str) -> None:
    cfg = configured("--amp-dtype", dtype)
    net = torch.nn.Linear(2, 2).cuda()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    made = OPTIM_WRAPPERS.build({**cfg.optim_wrapper, "optimizer": optimizer})
    with made.optim_context(net):
        assert net(torch.ones(1, 2, device="cuda")).dtype is getattr(torch, dtype)


def test_a_wrapper_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(BadInputError, match="DeepSpeedOptimWrapper"):
        configured("--amp", type="DeepSpeedOptimWrapper")


def test_the_flag_may_stand_before_the_config() -> None:
    assert train.parse_args(["--amp", "config.py"]).config == "config.py"
    assert train.parse_args(["--amp-dtype", "bfloat16", "config.py"]).amp_dtype == "bfloat16"
