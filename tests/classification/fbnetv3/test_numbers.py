"""Blocks by numbers: equal to text, refused with a sentence, and the space of the search."""

import random

import pytest
from mmengine.config import Config

from mmext.classification.fbnetv3.arch import architecture
from mmext.classification.fbnetv3.numbers import rows_of
from tests.checkout import REPO

CONFIG = REPO / "configs/classification/fbnetv3/nars_fbnetv3_8xb128-300e_imagenet.py"


def test_a_network_by_numbers_is_the_one_by_text():
    """Of A, all but the blocks whose kernels or channels change within a stage."""
    text = [
        ["2x k3 e1 16"],
        ["1x k5 e4 24 /2", "3x k5 e2 24"],
        ["1x k5 e5 40 /2 se", "4x k5 e3 40 se"],
        ["1x k5 e5 72 /2"],
        ["1x k3 e6 184 /2 se", "1x k3 e4 184 se"],
    ]
    numbers = [
        [dict(blocks=2, kernel=3, first=1, rest=1, channels=16)],
        [dict(blocks=4, kernel=5, first=4, rest=2, channels=24, stride=2)],
        [dict(blocks=5, kernel=5, first=5, rest=3, channels=40, stride=2, se=True)],
        [dict(blocks=1, kernel=5, first=5, rest=3, channels=72, stride=2)],
        [dict(blocks=2, kernel=3, first=6, rest=4, channels=184, stride=2, se=True)],
    ]
    found, wanted = (architecture(dict(stem=16, stages=one)) for one in (numbers, text))
    assert found.blocks == wanted.blocks


@pytest.mark.parametrize(
    "wrong",
    [
        dict(blocks=2, kernel=3, first=1, channels=16),
        dict(blocks=2, kernel=3, first=1, rest=1, channels=16, pad=0),
        dict(blocks=2, kernel=3, first=1, rest=1, channels=16, stride=4),
    ],
)
def test_wrong_numbers_are_told(wrong):
    with pytest.raises(ValueError, match=r"must be like dict\(blocks=4, .* with stride 1 or 2"):
        rows_of(wrong)


def follow(cfg, key):
    for part in key.split("."):
        cfg = cfg[int(part)] if isinstance(cfg, list | tuple) else cfg[part]
    return cfg


def test_every_key_of_the_space_is_there_with_a_value_of_the_space():
    cfg = Config.fromfile(CONFIG)
    assert len(cfg.search.space) == 33
    for key, one in cfg.search.space.items():
        own = follow(cfg, key)
        if one.type == "categorical":
            assert own in one.choices
        else:
            assert one.low <= own <= one.high
            assert (own - one.low) % one.get("step", 1) == 0 or one.type == "float"


def test_every_candidate_is_a_network_whose_last_map_fits_the_head():
    cfg, draw = Config.fromfile(CONFIG), random.Random(0)
    for _ in range(50):
        for key, one in cfg.search.space.items():
            where = follow(cfg, key.rpartition(".")[0])
            if one.type == "categorical":
                where[key.rpartition(".")[2]] = draw.choice(one.choices)
            elif one.type == "int":
                steps = draw.randrange(one.low, one.high + 1, one.get("step", 1))
                where[key.rpartition(".")[2]] = steps
        assert architecture(cfg.model.backbone.arch).out_channels[-1] == 224
