import os
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModel, BaseTTAModel
from torch import nn

from mmext.engine import checkpoint
from mmext.errors import BadInputError


class Runs:
    def __reduce__(self) -> tuple:
        return os.system, ("touch canary",)


def save(path: Path, **content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_wants_to_run_code_is_refused_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict=Runs()), "poison.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(BadInputError, match=r"poison\.pth: refused.*posix\.system"):
        checkpoint.read("poison.pth")
    assert not Path("canary").exists()


def test_plain_weights_are_read(tmp_path: Path) -> None:
    weights = dict(a=torch.ones(2))
    assert checkpoint.read(save(tmp_path / "1.pth", **weights)).keys() == {"a"}
    assert checkpoint.read(save(tmp_path / "2.pth", state_dict=weights)).keys() == {"state_dict"}


def test_a_config_that_mmengine_would_run_is_refused_at_resume(tmp_path: Path) -> None:
    parts = dict(state_dict=dict(a=torch.ones(1)), message_hub={}, optimizer={})
    good = save(tmp_path / "good.pth", meta=dict(iter=3, cfg="import os"), **parts)
    checkpoint.check_resumable(good)
    bad = save(tmp_path / "bad.pth", meta=dict(iter=3, config="import os"), **parts)
    with pytest.raises(BadInputError, match="would run as Python"):
        checkpoint.check_resumable(bad)
    weights = save(tmp_path / "weights.pth", **parts)
    with pytest.raises(BadInputError, match="got one without meta; start from its weights"):
        checkpoint.check_resumable(weights)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_weights_that_fit_pass_with_a_wrapper_s_prefix_and_without_batch_counts(
    tmp_path: Path,
) -> None:
    weights = {f"module.{k}": v for k, v in net().state_dict().items() if "num_batches" not in k}
    checkpoint.check_fits(save(tmp_path / "1.pth", state_dict=weights), net())


def test_weights_are_compared_below_the_wrapper_for_test_time_augmentation(tmp_path: Path) -> None:
    class Model(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.net(inputs)

    class Merge(BaseTTAModel):
        def merge_preds(self, samples: list) -> list:
            return samples

    file = save(tmp_path / "1.pth", state_dict=Model().state_dict())
    checkpoint.check_fits(file, Merge(Model()))


def test_each_kind_of_misfit_is_named(tmp_path: Path) -> None:
    weights = net().state_dict()
    weights["0.weight"] = torch.ones(3, 5)
    weights["extra"] = weights.pop("0.bias")
    file = save(tmp_path / "1.pth", state_dict=weights)
    with pytest.raises(BadInputError) as caught:
        checkpoint.check_fits(file, net())
    text = str(caught.value)
    assert "1 missing (0.bias)" in text
    assert "1 unexpected (extra)" in text
    assert "1 of another shape (0.weight (3, 5) instead of (3, 2))" in text
    model = net()
    checkpoint.check_fits(file, model, strict=False)
    assert model[0].weight.shape == (3, 2)
