"""SNIPAssigner: objects of the wrong size are ignored without harm to those beside them.

Paper     FastPose, Zhang et al. 2019, https://arxiv.org/abs/1908.05593 (its scale-normalised
          training, after SNIP, Singh and Davis 2018, arXiv:1711.08189)
Idea      A prior that fits an ignored object is neither positive nor negative, unless it is
          positive for an object that counts.
Host      mmdet.MaxIoUAssigner
Letters   N priors, G ground truths
"""

from typing import Any

from mmdet.models.task_modules.assigners import AssignResult, MaxIoUAssigner
from mmengine.structures import InstanceData

from mmext.registry import TASK_UTILS


@TASK_UTILS.register_module()
class SNIPAssigner(MaxIoUAssigner):
    """MaxIoUAssigner that ignores by IoU, and only what is not positive.

    The host's ``ignore_iof_thr`` takes every prior inside an ignored box from the objects that
    count, also one that fits such an object exactly.

    Args:
        pos_iou_thr, neg_iou_thr: as in the host.
        ignore_iou_thr: a prior with this IoU to an ignored object is no negative. 0.3 suits an RPN,
            0.5 a second stage.
        host_cfg: the host's other arguments, without ``ignore_iof_thr``.
    """

    def __init__(
        self,
        pos_iou_thr: int | float = 0.5,
        neg_iou_thr: float | tuple[float, float] = 0.5,
        *,
        ignore_iou_thr: int | float = 0.5,
        **host_cfg: Any,
    ) -> None:
        host_cfg = {"iou_calculator": dict(type="mmdet.BboxOverlaps2D"), **host_cfg}
        super().__init__(pos_iou_thr, neg_iou_thr, **host_cfg)
        self.ignore_iou_thr = ignore_iou_thr

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """The host's assignment to the objects that count; then priors of ignored ones become -1.

        Args:
            pred_instances: with ``priors`` (N, 4).
            gt_instances: objects that count, with ``bboxes`` (G, 4) and ``labels``.
            gt_instances_ignore: objects that do not, with ``bboxes``.
            kwargs: the host's.
        """
        result = super().assign(pred_instances, gt_instances, None, **kwargs)
        priors = pred_instances.priors
        if gt_instances_ignore is None or not len(gt_instances_ignore.bboxes) or not len(priors):
            return result
        nearest = self.iou_calculator(gt_instances_ignore.bboxes, priors).amax(0)  # (N,)
        near = nearest >= self.ignore_iou_thr
        result.gt_inds = result.gt_inds.where(~near | (result.gt_inds > 0), -1)
        return result
