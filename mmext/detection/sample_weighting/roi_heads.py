"""The ConvFC box heads of R-CNN with sample weighting.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      mmdet.ConvFCBBoxHead and its two named forms: same layers, targets, predictions; with
          ``swn=None`` the same losses and state-dict keys
Letters   R RoIs of a batch, P positives, K classes
"""

from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import (
    BBoxHead,
    ConvFCBBoxHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
)
from torch import Tensor

from mmext.detection.positives import EPS, own_boxes
from mmext.detection.sample_weighting.build import sample_weighting
from mmext.detection.sample_weighting.features import (
    per_coordinate,
    per_sample,
    refuse,
    seen_iou,
    seen_probability,
)
from mmext.detection.sample_weighting.samples import Samples
from mmext.engine.optional_weights import only_for_training
from mmext.functional import foreground
from mmext.registry import MODELS

SWN: dict = {}
"""The authors' network with a start that any optimiser trains, which the heads take by default."""


class SWNBBoxHeadMixin(BBoxHead):
    """Box head whose RoIs count by what sample weighting finds; goes before an mmdet box head.

    In Cascade R-CNN and HTC each stage's head has a network of its own, as its boxes are of another
    quality.

    Args:
        swn: arguments of :func:`~mmext.detection.sample_weighting.build.sample_weighting`; None
            leaves the host as it is.
        host_cfg: the host's arguments; any of its losses that gives each sample a loss.
    """

    def __init__(self, *, swn: dict | None = SWN, **host_cfg: Any) -> None:
        super().__init__(**host_cfg)
        self.swn = None
        if swn is not None:
            if not (self.with_cls and self.with_reg):
                raise ValueError(
                    "sample weighting expects a head that classifies and regresses; set swn=None"
                )
            refuse(self.loss_cls, self.loss_bbox)
            self.swn = sample_weighting(**swn)
        only_for_training(self, "swn.")

    def loss(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        reduction_override: str | None = None,
        mask_loss: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The host's losses, each sample's times its weight, and terms that keep the weights up.

        Args:
            cls_score: (R, K + 1) logits.
            bbox_pred: (R, 4) or (R, 4 * K) deltas.
            rois: (R, 5), index of the image and xyxy in pixels.
            labels: (R,), K for background.
            label_weights: (R,).
            bbox_targets: (R, 4) deltas, or xyxy in pixels with ``reg_decoded_bbox``.
            bbox_weights: (R, 4).
            reduction_override: given where single losses are wanted, for example to mine hard RoIs;
                these are the host's, without weights.
            mask_loss: (P,) of each positive, from a RoI head that weights masks.
        """
        args = (cls_score, bbox_pred, rois, labels, label_weights, bbox_targets, bbox_weights)
        if reduction_override is not None or self.swn is None:
            return super().loss(*args, reduction_override)
        # DEVIATION: the authors compute every loss twice, as input and to train; once is enough.
        losses = super().loss(*args, reduction_override="none")
        at = foreground(labels, self.num_classes)  # (P,)
        # Without samples or positives the host has no single losses; these are empty and keep the
        # graph.
        loss_cls = per_sample(losses.get("loss_cls", cls_score))  # (R,)
        # (P, 4), or (P,) of an IoU loss.
        loss_bbox = losses["loss_bbox"] if len(at) else bbox_pred[at, :4]
        samples = self._samples(args, at, loss_cls, loss_bbox, mask_loss)
        weights = self.swn(samples)
        # The host's sums and divisors, in its order: weights of 1 change no number.
        losses["loss_cls"] = (loss_cls * weights.cls).sum() / (samples.cls_divisor + EPS)
        factor = weights.box[:, None] if loss_bbox.dim() == 2 else weights.box
        losses["loss_bbox"] = (loss_bbox * factor).sum() / (samples.box_divisor + EPS)
        if mask_loss is not None:
            losses["loss_mask"] = (mask_loss * weights.mask).sum() / max(len(at), 1)
        return losses | weights.more

    @torch.no_grad()
    def _samples(
        self, args: tuple, at: Tensor, loss_cls: Tensor, loss_bbox: Tensor, mask_loss: Tensor | None
    ) -> Samples:
        """What is known of the RoIs; ``args`` as in :meth:`loss`, ``at`` the positives' indices."""
        cls_score, bbox_pred, rois, labels, label_weights, bbox_targets, _ = args
        counted = label_weights > 0
        boxes = own_boxes(bbox_pred, labels, at, self.num_classes)
        return Samples(
            positive=at,
            negative=counted & (labels == self.num_classes),
            cls=loss_cls,
            box=per_coordinate(loss_bbox),
            iou=seen_iou(self, rois[at, 1:], boxes, bbox_targets[at]),
            prob=seen_probability(self, cls_score, labels, at, sigmoid=self.loss_cls.use_sigmoid),
            cls_divisor=counted.sum().clamp(min=1),
            box_divisor=max(len(labels), 1),
            mask=mask_loss,
        )


@MODELS.register_module()
class SWNConvFCBBoxHead(SWNBBoxHeadMixin, ConvFCBBoxHead):
    """Any number of convolutions and fully connected layers, as mmdet.ConvFCBBoxHead.

    Args:
        swn: as in :class:`SWNBBoxHeadMixin`.
        host_cfg: the host's arguments.
    """


@MODELS.register_module()
class SWNShared2FCBBoxHead(SWNBBoxHeadMixin, Shared2FCBBoxHead):
    """Two shared fully connected layers, as mmdet.Shared2FCBBoxHead.

    Args:
        swn: as in :class:`SWNBBoxHeadMixin`.
        host_cfg: the host's arguments.
    """


@MODELS.register_module()
class SWNShared4Conv1FCBBoxHead(SWNBBoxHeadMixin, Shared4Conv1FCBBoxHead):
    """Four shared convolutions and one fully connected layer, as mmdet.Shared4Conv1FCBBoxHead.

    Args:
        swn: as in :class:`SWNBBoxHeadMixin`.
        host_cfg: the host's arguments.
    """
