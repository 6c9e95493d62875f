"""Places of a config that must agree; the hosts' own shipped configs do."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmext.data_checks import agreement, verify
from mmext.engine import keys

RGB, BGR = [123.675, 116.28, 103.53], [103.53, 116.28, 123.675]


def test_all_heads_of_all_stages_are_compared() -> None:
    box = dict(type="Shared2FCBBoxHead", num_classes=80)
    model = dict(
        rpn_head=dict(num_classes=1),
        backbone=dict(num_classes=1000),
        roi_head=dict(
            bbox_head=[{**box, "num_classes": 2}, box, box],
            mask_head=dict(num_classes=80),
            semantic_head=dict(num_classes=183),
        ),
    )
    said = list(agreement.heads(model, 2, split="train"))
    assert [one.partition(":")[0] for one in said] == [
        "model.roi_head.bbox_head[1].num_classes",
        "model.roi_head.bbox_head[2].num_classes",
        "model.roi_head.mask_head.num_classes",
    ]
    assert list(agreement.heads(model, 0, split="train")) == [], (
        "unknown classes are no reason to refuse"
    )
    for words in ("language_model", "text_encoder"):  # classes are words
        assert list(agreement.heads({**model, words: {}}, 2, split="train")) == []


@pytest.mark.parametrize("head", [dict(num_classes=1), dict(num_classes=2, out_channels=1)])
def test_one_channel_tells_two_classes_apart(head: dict) -> None:
    assert list(agreement.heads(dict(decode_head=head), 2, split="train")) == []


def segments(clips: dict, split: str = "train", **model: object) -> list[tuple[bool, str]]:
    steps = [dict(type="DecordInit"), dict(clips, type=clips.get("type", "SampleFrames"))]
    return list(
        agreement.segments(dict(model=model), split, steps, lambda part, name: part.get("default"))
    )


@pytest.mark.parametrize(
    ("clips", "split", "backbone", "head", "expected"),
    [
        (dict(clip_len=1, num_clips=8), "train", 8, 8, []),
        (dict(clip_len=1, num_clips=8), "train", 6, 8, [True]),
        (dict(clip_len=1, num_clips=8), "train", 8, 4, [True]),
        (dict(clip_len=1, num_clips=16), "train", 8, 16, [False]),
        (dict(clip_len=1, num_clips=8, twice_sample=True), "test", 8, 8, []),
        (dict(clip_len=1, num_clips=25), "test", 8, 8, [True, True]),
        (dict(clip_len=32, num_clips=1), "train", 8, 8, []),  # a model in three dimensions
        (dict(type="mmext.SegmentRepeatSample", num_segments=8), "test", 8, 8, []),
    ],
)
def test_frames_of_a_clip_and_of_the_model_agree(clips, split, backbone, head, expected) -> None:
    said = segments(
        clips, split, backbone=dict(num_segments=backbone), cls_head=dict(num_segments=head)
    )
    assert [error for error, _ in said] == expected
    by_default = segments(
        clips, split, backbone=dict(default=backbone), cls_head=dict(default=head)
    )
    assert by_default == said


@pytest.mark.parametrize(
    ("preprocessor", "crop", "expected"),
    [
        (dict(size=(64, 64)), (64, 64), []),
        (dict(size=(64, 64)), 64, []),
        (dict(size=(64, 32)), (64, 64), [False]),
        (dict(size_divisor=32), (64, 64), []),
        ({}, (64, 64), [True]),
        (dict(size=(64, 64), size_divisor=32), (64, 64), [True]),
    ],
)
def test_crops_and_batches_are_of_one_size(
    preprocessor: dict, crop: object, expected: list
) -> None:
    cfg = dict(model=dict(data_preprocessor=dict(preprocessor, type="mmseg.SegDataPreProcessor")))
    steps = [dict(type="RandomCrop", crop_size=(512, 512)), dict(type="RandomCrop", crop_size=crop)]
    assert [error for error, _ in agreement.sizes(cfg, steps)] == expected


@pytest.mark.parametrize(
    ("step", "mean", "flips", "doubtful"),
    [
        ("LoadImageFromFile", RGB, dict(bgr_to_rgb=True), False),
        ("LoadImageFromFile", RGB, dict(bgr_to_rgb=False), True),
        ("LoadImageFromFile", BGR, {}, False),
        ("LoadImageFromFile", BGR, dict(bgr_to_rgb=True), True),
        ("DecordDecode", RGB, {}, False),
        ("RawFrameDecode", RGB, dict(to_rgb=True), True),
        ("RawFrameDecode", BGR, dict(to_rgb=True), False),
        ("LoadImageFromFile", [0, 0, 0], {}, False),
        ("LoadImageFromFile", [128.0, 127.0, 126.0], {}, False),
    ],
)
def test_channels_and_means_are_in_one_order(
    step: str, mean: list, flips: dict, doubtful: bool
) -> None:
    cfg = dict(model=dict(data_preprocessor=dict(flips, mean=mean)))
    assert len(list(agreement.channels(cfg, [dict(type=f"some.{step}")]))) == doubtful


def test_axes_are_packed_as_the_preprocessor_expects_them() -> None:
    preprocessor = dict(type="ActionDataPreprocessor", format_shape="NCTHW")
    cfg = dict(model=dict(data_preprocessor=preprocessor, cls_head={}))
    for packed, number in (("NCTHW", 0), ("NCHW", 1), ("NCTHW_Heatmap", 0)):
        assert (
            len(list(agreement.shapes(cfg, [dict(type="FormatShape", input_format=packed)])))
            == number
        )


def shipped() -> Iterator[Path]:
    """Some of the configs that the hosts ship; the forks ship none."""
    for host in ("mmdet", "mmseg", "mmaction"):
        root = Path(importlib.util.find_spec(host).origin).parent / ".mim" / "configs"
        yield from sorted(path for path in root.glob("*/**/*.py") if path.parent.name != "_base_")[
            ::25
        ]


@pytest.mark.parametrize("host", ["mmdet", "mmseg", "mmaction"])
def test_shipped_configs_agree_with_themselves(host: str) -> None:
    """What the hosts ship is good: it may be refused by no check, and its keys are spelt right."""
    init_default_scope(host)
    refused = []
    paths = [one for one in shipped() if f"/{host}/" in str(one)]
    if not paths:
        pytest.skip(f"{host} ships no configs")
    for path in paths:
        try:
            cfg = Config.fromfile(path)
        except ImportError:  # of mmpretrain, which is not here
            continue
        if not cfg.get("model"):
            continue
        refused += [f"{path.name}: {one}" for one in keys.doubtful(cfg)]
        refused += [
            f"{path.name}: {one}"
            for one in verify.check_agreement(cfg.to_dict(), verify.SPLITS).errors
        ]
    assert refused == []
