"""Every registered class is built with its defaults and what the host's class cannot do without."""

import inspect
import re
from types import SimpleNamespace
from unittest import mock

import pytest
from mmengine.config import ConfigDict
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from tests.contract.parts import all_parts


class Tested(nn.Module):
    """A model that wrappers for testing take."""

    def test_step(self, data):
        return data


class TwoPictures:
    """A data set that is built already, which wrappers take too."""

    @property
    def metainfo(self) -> dict:
        return dict(classes=("a", "b"))

    def full_init(self) -> None:
        pass

    def __len__(self) -> int:
        return 2

    def get_data_info(self, index: int) -> dict:
        return dict(key=str(index), gt_label=index)


RUNNER = mock.Mock(
    spec=Runner,
    cfg=dict(val_dataloader=dict(dataset=TwoPictures(), batch_size=1)),
    visualizer=SimpleNamespace(),
)

REQUIRED = dict(
    depth=50,
    in_channels=16,
    out_channels=16,
    channels=16,
    kernel_size=3,
    num_classes=3,
    num_keypoints=5,
    ema_channels=16,
    num_bases=4,
    num_stages=3,
    num_segments=8,
    topk=9,
    num_outs=5,
    backbone=dict(type="mmdet.ResNet", depth=18, base_channels=8),
    bbox_head=dict(type="mmext.SWNShared2FCBBoxHead", in_channels=8, num_classes=3),
    loss=dict(type="mmdet.SmoothL1Loss"),
    optim_wrapper_cfg=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1)),
    head=dict(type="mmext.LinearClsHead", in_channels=16, num_classes=3),
    dataset=TwoPictures(),
    keep=("0",),
    labels=[[0]],
    scale=224,
    until=2,
    rate=0.1,
    file="metrics.jsonl",
    source="human",
    prob=0.5,
    pixels=8.0,
    half_width=8,
    factor=0.3,
    axis="x",
    batch_size=4,
    model=dict(
        type="mmext.ImageClassifier",
        backbone=dict(type="mmext.MLPBackbone", in_shape=(1, 8, 8)),
        head=dict(type="mmext.LinearClsHead", in_channels=64, num_classes=3),
    ),
    choices=[dict(type="mmext.MLPBackbone", in_shape=(1, 8, 8), widths=(n, 8)) for n in (4, 8)],
    runner=RUNNER,
    dataloader=DataLoader(TwoPictures()),
    max_iters=1,
    module=Tested(),
    detector=dict(
        type="mmdet.FasterRCNN",
        backbone=dict(type="mmdet.ResNet", depth=18, base_channels=8),
        rpn_head=None,
        roi_head=dict(type="mmext.MTNRoIHead"),
        train_cfg=None,
        test_cfg=ConfigDict(rcnn={}),
    ),
    stage_loss_weights=[1.0],
    crop_size=(32, 32),
    ann_file="annotations.json",
)
"""What a class may ask for: names that the hosts' own classes ask for too."""

INSTEAD = {
    "RFP": dict(in_channels=[8, 16, 32, 64], rfp_sharing=True),
    "SAC": dict(padding=1),  # the host's default is none, with which no 3x3 layer keeps its size
    # The host asserts that these are there, and gives each a default.
    "MTNCascadeRoIHead": dict(
        num_stages=1,
        bbox_roi_extractor=dict(
            type="mmdet.SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7),
            out_channels=8,
            featmap_strides=[4],
        ),
        bbox_head=dict(type="mmdet.BBoxHead", in_channels=8, num_classes=1),
    ),
    "RatioBatchSampler": dict(dataset=SimpleNamespace(cumulative_sizes=[2, 4])),
    # These look for their files when they are made.
    "FolderClsDataset": dict(lazy_init=True),
    "ImageNetDataset": dict(lazy_init=True),
    "IdxClsDataset": dict(lazy_init=True),
    "DigitsDataset": dict(lazy_init=True),
    "LandmarkDataset": dict(lazy_init=True),
    "COCOLandmarkDataset": dict(lazy_init=True),
    "CSVLandmarkDataset": dict(lazy_init=True),
    "PTSLandmarkDataset": dict(lazy_init=True),
    "AFLWMatDataset": dict(lazy_init=True),
    "VideoFrames": dict(lazy_init=True),
    "PoseCocoDataset": dict(lazy_init=True),
    "PoseVideoDataset": dict(lazy_init=True),
}
"""Where a name means something else, or a default of the host's does not go with the rest."""

PACKAGES = {"TimmBackbone": "timm"}
"""What a part stands on that no stack has."""


def required(cls: type) -> list[str]:
    """Arguments without a default, through all classes that hand theirs on."""
    asked: dict[str, bool] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        arguments = list(inspect.signature(base.__init__).parameters.values())[1:]
        for one in arguments:
            if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL):
                asked.setdefault(one.name, one.default is one.empty)
        if not any(one.kind is one.VAR_KEYWORD for one in arguments):
            break
    return [name for name, needed in asked.items() if needed]


def host_of(cls: type) -> type:
    """The class that a part takes the place of."""
    return next(base for base in cls.__mro__ if not base.__module__.startswith("mmext."))


@pytest.mark.parametrize("part", all_parts(), ids=lambda part: part.name)
def test_it_is_built_with_its_defaults(part):
    if part.name in PACKAGES:
        pytest.importorskip(PACKAGES[part.name], exc_type=ImportError)
    asked = required(part.cls)
    unknown = set(asked) - REQUIRED.keys()
    assert not unknown, f"{part.name} has no default for {unknown}, which no host's class asks for"
    cfg = {name: REQUIRED[name] for name in asked} | INSTEAD.get(part.name, {})
    try:
        part.cls(**cfg)
    except Exception as ours:
        with pytest.raises(type(ours), match=f"^{re.escape(str(ours))}$"):
            host_of(part.cls)(**cfg)  # else the fault is ours
        pytest.skip(f"the host's {host_of(part.cls).__name__} has defaults that do not go together")
