"""Rows of self-training: a student's step beside plain ones, its memory beside SoftTeacher's.

Two labelled and two pseudo-labelled pictures of 128 x 160, seven boxes each, random weights; Faster
R-CNN samples 64 RoIs a picture. The smaller the pictures, the more a second model counts.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from mmext.self_training.pseudo_labels.wrapper import SelfTrainingWrapper

from .cases import Case, train

BASES = Path(__file__).parents[2] / "configs" / "_base_" / "models"
HEIGHT, WIDTH, BOXES, ROIS = 128, 160, 7, 64


def config(name: str) -> Any:
    """Of a base detector, with random weights."""
    register_all_modules()
    model = Config.fromfile(BASES / f"{name}.py", import_custom_modules=False).model
    model.backbone.init_cfg = None
    if "rcnn" in model.train_cfg:
        model.train_cfg.rcnn.sampler.num = ROIS
    return model


def halves() -> tuple[tuple[Tensor, list], tuple[Tensor, list]]:
    """Two labelled pictures, and two with labels of a teacher."""
    rng = torch.Generator(torch.get_default_device()).manual_seed(0)
    both = []
    for source in ("human", "pseudo"):
        samples = []
        for number in range(2):
            extent = torch.rand(BOXES, 2, generator=rng) * 60 + 20
            corner = torch.rand(BOXES, 2, generator=rng) * (torch.tensor([WIDTH, HEIGHT]) - extent)
            one = DetDataSample(metainfo=dict(meta(number), source=source))
            one.gt_instances = InstanceData(
                bboxes=torch.cat([corner, corner + extent], 1),
                labels=torch.randint(0, 80, (BOXES,), generator=rng),
            )
            samples.append(one)
        both.append((torch.randn(2, 3, HEIGHT, WIDTH, generator=rng), samples))
    return both[0], both[1]


def meta(number: int) -> dict[str, Any]:
    """What a picture says about itself; nothing has moved it."""
    shape = (HEIGHT, WIDTH)
    where = dict(img_shape=shape, ori_shape=shape, pad_shape=shape, batch_input_shape=shape)
    still = np.eye(3, dtype=np.float32)
    return dict(img_id=number, scale_factor=(1.0, 1.0), homography_matrix=still, **where)


def drawn(model: Any) -> Any:
    """A model with weights of seed 0, in training."""
    torch.manual_seed(0)
    model.init_weights()
    return model.train().to(torch.get_default_device())


def step(side: str) -> Case:
    """The wrapper round RetinaNet against its two passes alone; the goal: 1.02 of their time."""
    inner = drawn(MODELS.build(config("retinanet_mobilenet-v2_fpn")))
    student = SelfTrainingWrapper(inner)
    human, pseudo = halves()
    inputs, samples = torch.cat([human[0], pseudo[0]]), [*human[1], *pseudo[1]]

    def loss() -> Tensor:
        if side == "ours":
            return student.parse_losses(student(inputs, samples, mode="loss"))[0]
        first, second = (
            inner.parse_losses(inner(*half, mode="loss"))[0] for half in (human, pseudo)
        )
        return first + second

    return train(loss, list(inner.parameters()))


def memory(side: str) -> Case:
    """Our student of Faster R-CNN against mmdet's SoftTeacher of it; the goal: 0.6 of its memory.

    Its teacher believes its best seven boxes, whatever their score. The models are built in the
    first call, so that the peak has them.
    """
    build = {"ours": own_student, "upstream": soft_teacher}[side]

    @cache
    def built() -> tuple[Any, Callable[[], dict[str, Any]]]:
        return build()

    def loss() -> Tensor:
        model, losses = built()
        torch.manual_seed(0)  # the samplers draw the same boxes in every call
        return model.parse_losses(losses())[0]

    def run() -> None:
        total = loss()
        for one in built()[0].parameters():
            one.grad = None
        total.backward()

    return Case(loss, run)


def own_student() -> tuple[Any, Callable[[], dict[str, Any]]]:
    """Labels from files: one model, two passes."""
    model = SelfTrainingWrapper(drawn(MODELS.build(config("faster_rcnn_r50_fpn"))))
    human, pseudo = halves()
    inputs, samples = torch.cat([human[0], pseudo[0]]), [*human[1], *pseudo[1]]
    return model, lambda: model(inputs, samples, mode="loss")


def soft_teacher() -> tuple[Any, Callable[[], dict[str, Any]]]:
    """Labels as it trains: two models, and a pass of the teacher beside the student's two."""
    detector = config("faster_rcnn_r50_fpn")
    detector.test_cfg.rcnn.update(score_thr=0.0, max_per_img=BOXES)
    model = drawn(
        MODELS.build(
            ConfigDict(
                type="SoftTeacher",
                detector=detector,
                data_preprocessor=dict(
                    type="MultiBranchDataPreprocessor", data_preprocessor=detector.data_preprocessor
                ),
                semi_train_cfg=dict(
                    freeze_teacher=True,
                    sup_weight=1.0,
                    unsup_weight=4.0,
                    pseudo_label_initial_score_thr=0.0,
                    rpn_pseudo_thr=0.0,
                    cls_pseudo_thr=0.0,
                    reg_pseudo_thr=1e6,
                    jitter_times=10,
                    jitter_scale=0.06,
                    min_pseudo_bbox_wh=(1e-2, 1e-2),
                ),
                semi_test_cfg=dict(predict_on="teacher"),
            )
        )
    )
    human, pseudo = halves()
    names = ("sup", "unsup_teacher", "unsup_student")
    inputs = dict(zip(names, (human[0], pseudo[0], pseudo[0]), strict=True))

    def losses() -> dict[str, Any]:
        samples = dict(zip(names, (human[1], fresh(), fresh()), strict=True))
        return model.loss(inputs, samples)

    def fresh() -> list[DetDataSample]:
        """Pictures without labels; the teacher writes into them."""
        return [DetDataSample(metainfo=meta(number)) for number in range(2)]

    return model, losses
