"""Small two-stage detectors and batches that the tests of the second stage share."""

import copy
from typing import Any

import torch
from mmdet.models.detectors import FasterRCNN
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from tests.contract import pose
from tests.contract.parts import ROOT

BASE = ROOT / "configs/_base_/models/faster_rcnn_r50_fpn.py"
CASCADE = ROOT / "configs/_base_/models/cascade_rcnn_r50_fpn.py"
KEYPOINTS = dict(type="mmext.KeypointRCNNHead", num_keypoints=17, num_convs=1, conv_channels=16)
VISIBILITY = dict(type="mmext.VisibilityHead")
REID = dict(type="mmext.RoIReIDHead", num_ids=8, conv_channels=16, embed_channels=8)
BRANCHES = dict(keypoint_head=KEYPOINTS, visibility_head=VISIBILITY, reid_head=REID)


def config(base=BASE, **roi_head: Any) -> ConfigDict:
    """A narrow Faster R-CNN with ResNet-18 and one class, its second stage changed."""
    cfg = Config.fromfile(base).model
    cfg.backbone.update(depth=18, base_channels=8, init_cfg=None)
    cfg.neck.update(in_channels=[8, 16, 32, 64], out_channels=16)
    cfg.rpn_head.update(in_channels=16, feat_channels=16)
    for key in ("bbox_roi_extractor", "mask_roi_extractor"):
        if key in cfg.roi_head:
            cfg.roi_head[key].out_channels = 16
    boxes = cfg.roi_head.bbox_head
    for head in boxes if isinstance(boxes, list) else [boxes]:
        head.update(in_channels=16, fc_out_channels=16, num_classes=1)
    if "mask_head" in cfg.roi_head:
        cfg.roi_head.mask_head.update(
            in_channels=16, conv_out_channels=16, num_convs=1, num_classes=1
        )
    ours = "MTNCascadeRoIHead" if "num_stages" in cfg.roi_head else "MTNRoIHead"
    cfg.roi_head.update(type=f"mmext.{ours}", **copy.deepcopy(roi_head))
    pose.detection.lessen(cfg)
    return cfg


def detector(cfg: ConfigDict | None = None, **roi_head: Any) -> FasterRCNN:
    """The detector of a config, with weights drawn from a fixed seed, in training."""
    from mmdet.registry import MODELS

    cfg = config(**roi_head) if cfg is None else cfg
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(cfg)
    model.init_weights()
    return model.train()


def losses(model: FasterRCNN, data: dict) -> dict[str, torch.Tensor]:
    """Each loss on its own; samples are drawn alike in every call."""
    torch.manual_seed(0)
    data = model.data_preprocessor(copy.deepcopy(data), training=True)
    return model(**data, mode="loss")


def predicted(model: FasterRCNN, data: dict) -> list:
    """Results of each image, at the original size."""
    model.eval()
    with torch.no_grad():
        found = model(**model.data_preprocessor(copy.deepcopy(data)), mode="predict")
    model.train()
    return [one.pred_instances for one in found]
