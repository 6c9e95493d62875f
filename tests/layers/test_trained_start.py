"""Which settings of an ``init_cfg`` are files of weights, and that they come last."""

import pytest
from mmengine.model import KaimingInit, PretrainedInit

from mmext.layers.trained_start import in_order, names_a_file


class OwnFile(PretrainedInit):
    """A reader of files of somebody's own."""


@pytest.mark.parametrize(
    "kind", ["Pretrained", "mmengine.Pretrained", "mmdet.Pretrained", PretrainedInit, OwnFile]
)
def test_a_file_comes_last_whatever_its_type_is_written_as(kind: object) -> None:
    file, other = dict(type=kind, checkpoint="a.pth"), dict(type="Kaiming", layer="Conv2d")
    assert in_order([file, other]) == in_order([other, file]) == [other, file]
    assert in_order(file) == [file]


@pytest.mark.parametrize("kind", ["Kaiming", "mmengine.Constant", KaimingInit])
def test_all_else_keeps_its_order(kind: object) -> None:
    settings = [dict(type=kind), dict(type="Normal")]
    assert not names_a_file(settings[0])
    assert in_order(settings) == settings
    assert in_order(None) == []
