"""SWNStandardRoIHead: the masks of Mask R-CNN are weighted too, by the same network.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      mmdet.StandardRoIHead: same layers and predictions; with ``swn=None`` the same losses and
          keys
Letters   P positives, K classes, H W size of a mask
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures.bbox import bbox2roi
from torch import Tensor, nn

from mmext.detection.sample_weighting.roi_heads import SWN, SWNBBoxHeadMixin
from mmext.registry import MODELS


def mask_loss(
    pred: Float[Tensor, "P C H W"], target: Float[Tensor, "P H W"], label: Int[Tensor, " P"]
) -> Float[Tensor, " P"]:
    """Mean binary cross-entropy of each positive's mask, that of its class.

    Args:
        pred: logits of each class, or of one for all.
        target: the masks, 0 or 1.
        label: index of the logits that count.
    """
    own = pred[torch.arange(len(pred), device=pred.device), label]
    return F.binary_cross_entropy_with_logits(own, target, reduction="none").mean((1, 2))


class _PerRoI(nn.Module):
    """In place of the mask head's loss, of which the host has only the mean."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        if not getattr(loss, "use_mask", False) or loss.class_weight is not None:
            raise ValueError(
                f"sample weighting of masks expects CrossEntropyLoss(use_mask=True), got {loss}; "
                "use that, or mmdet.StandardRoIHead, which leaves the masks alone"
            )
        self.loss_weight: float = loss.loss_weight

    def forward(self, pred: Tensor, target: Tensor, label: Tensor) -> Tensor:
        return self.loss_weight * mask_loss(pred, target, label)


@MODELS.register_module()
class SWNStandardRoIHead(StandardRoIHead):
    """StandardRoIHead that gives the box head's network each positive's mask loss, and weights it.

    DEVIATION: the authors run the mask branch twice, once as input of the network and once to
    train.

    Args:
        bbox_head: config of one of the ``mmext.SWN...BBoxHead``; its ``swn`` is told of the masks.
        host_cfg: the host's arguments.

    Raises:
        ValueError: the box head has no sample weighting, or the mask loss is not mmdet's
            cross-entropy.
    """

    def __init__(self, bbox_head: dict, **host_cfg: Any) -> None:
        kind = (
            MODELS.get(bbox_head["type"])
            if isinstance(bbox_head["type"], str)
            else bbox_head["type"]
        )
        if kind is None or not issubclass(kind, SWNBBoxHeadMixin):
            raise ValueError(
                "SWNStandardRoIHead expects a box head with sample weighting, got "
                f"{bbox_head['type']}; use mmext.SWNShared2FCBBoxHead"
            )
        swn = bbox_head.get("swn", SWN)
        weights_masks = swn is not None and host_cfg.get("mask_head") is not None
        if weights_masks:
            bbox_head = dict(bbox_head, swn=dict(swn, with_mask=True))
        super().__init__(bbox_head=bbox_head, **host_cfg)
        self.weights_masks = weights_masks
        if weights_masks:
            self.mask_head.loss_mask = _PerRoI(self.mask_head.loss_mask)

    def loss(
        self, x: tuple[Tensor, ...], rpn_results_list: list, batch_data_samples: list
    ) -> dict[str, Tensor]:
        """As in the host, but masks come first: the network looks at their losses."""
        if not self.weights_masks:
            return super().loss(x, rpn_results_list, batch_data_samples)
        instances, ignored, _ = unpack_gt_instances(batch_data_samples)
        sampled = self._sample(x, rpn_results_list, instances, ignored)
        rois = bbox2roi([result.priors for result in sampled])
        found = self._bbox_forward(x, rois)
        masks = self.mask_loss(x, sampled, found["bbox_feats"], instances)["loss_mask"]["loss_mask"]
        positives = sum(len(result.pos_priors) for result in sampled)
        if positives and masks.shape != (positives,):
            raise ValueError(
                f"sample weighting of masks expects one loss for each of {positives} positives, "
                f"got {tuple(masks.shape)} from {type(self.mask_head).__name__}; use FCNMaskHead"
            )
        # Without positives the host gives one 0 that keeps the graph.
        masks = masks.reshape(-1)[:positives]
        targets = self.bbox_head.get_targets(sampled, self.train_cfg)
        return self.bbox_head.loss(
            found["cls_score"], found["bbox_pred"], rois, *targets, mask_loss=masks
        )

    def _sample(
        self, x: tuple[Tensor, ...], proposals: list, instances: list, ignored: list
    ) -> list:
        """The host's sampling of proposals, image by image."""
        sampled = []
        for i, found in enumerate(proposals):
            found.priors = found.pop("bboxes")
            assigned = self.bbox_assigner.assign(found, instances[i], ignored[i])
            feats = [level[i][None] for level in x]
            sampled.append(self.bbox_sampler.sample(assigned, found, instances[i], feats=feats))
        return sampled
