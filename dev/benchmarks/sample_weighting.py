"""Rows of sample weighting: a training step of a whole detector, with the network and without.

Two random images of 256 x 320 with seven objects each; ResNet-50, FPN, random weights, the same on
both sides. Faster R-CNN samples 512 RoIs an image. "Upstream" is the same config without weighting.
"""

from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor

from .cases import Case, train

CONFIGS = Path(__file__).parents[2] / "configs" / "detection" / "sample_weighting"
HEIGHT, WIDTH = 256, 320


def _batch() -> dict:
    g = torch.Generator(torch.get_default_device()).manual_seed(0)
    samples = []
    for number in range(2):
        extent = torch.rand(7, 2, generator=g) * 60 + 20
        corner = torch.rand(7, 2, generator=g) * (torch.tensor([WIDTH, HEIGHT]) - extent)
        shape = (HEIGHT, WIDTH)
        meta = dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0), img_id=number)
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + extent], 1),
            labels=torch.randint(0, 80, (7,), generator=g),
        )
        samples.append(sample)
    images = [
        torch.randint(0, 256, (3, HEIGHT, WIDTH), generator=g, dtype=torch.uint8) for _ in range(2)
    ]
    return dict(inputs=images, data_samples=samples)


def _step(side: str, name: str) -> Case:
    register_all_modules()
    cfg = Config.fromfile(CONFIGS / name, import_custom_modules=False).model
    cfg.backbone.init_cfg = None
    if side == "upstream":
        head = cfg.roi_head.bbox_head if "roi_head" in cfg else cfg.bbox_head
        head.swn = None
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    model.train().to(torch.get_default_device())  # tells the preprocessor as well
    batch = _batch()

    def loss() -> Tensor:
        torch.manual_seed(0)  # the sampler draws the same RoIs in every call
        return model.parse_losses(
            model(**model.data_preprocessor(batch, training=True), mode="loss")
        )[0]

    return train(loss, list(model.parameters()))


def faster_rcnn(side: str) -> Case:
    """The target is 1.02 of the time without."""
    return _step(side, "swn_faster-rcnn_r50_fpn_8xb2-1x_coco.py")


def retinanet(side: str) -> Case:
    """The target is 1.05 of the time without."""
    return _step(side, "swn_retinanet_r50_fpn_8xb2-1x_coco.py")
