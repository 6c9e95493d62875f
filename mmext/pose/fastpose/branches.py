"""Branches beside a second stage: keypoints, visibility and embedding of each object.

Paper     FastPose, Zhang et al. 2019, https://arxiv.org/abs/1908.05593 (its multi-task network)
Idea      A two-stage detector's second stage gets more branches, each on RoI features of its own;
          in training they look at the positives, in testing at the boxes that are left.
Host      a second stage of mmdet's, whose losses, boxes and masks stay as they are
Letters   B images, N RoIs of a batch, G ground truths of an image, K points, D numbers of an
          embedding
"""

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.roi_heads.base_roi_head import BaseRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS as HOST_MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi, scale_boxes
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmext.errors import BadInputError, some

KEYPOINT_ROI = dict(output_size=14, sampling_ratio=2)
REID_ROI = dict(output_size=(14, 7), sampling_ratio=2)


class PoseBranches(BaseRoIHead):
    """More branches for the second stage behind it in a class's bases.

    They learn from the samples of the host's last call of ``bbox_loss``: those of a
    cascade's last stage, whose boxes are most like the ones that are tested.

    Args:
        keypoint_head: config of a ``KeypointRCNNHead``.
        visibility_head: config of a ``VisibilityHead``, which sees the keypoint head's features.
        reid_head: config of a ``RoIReIDHead``. It trains on the positives; these hold the true
            boxes where the sampler adds them (``add_gt_as_proposals``).
        keypoint_roi_extractor: config; None is the box branch's with 14 x 14 cells.
        reid_roi_extractor: config; None is the box branch's with 14 x 7 cells.
        keypoint_classes: classes that have keypoints; points of the others score 0. None: all have.
        host_cfg: the host's arguments.

    Raises:
        BadInputError: ``visibility_head`` without ``keypoint_head``, a branch without a
            ``bbox_roi_extractor`` and without its own, arguments of another second stage, or one
            whose ``bbox_loss`` gets no ``sampling_results``, as Sparse R-CNN's.
    """

    def __init__(
        self,
        *,
        keypoint_head: dict | None = None,
        visibility_head: dict | None = None,
        reid_head: dict | None = None,
        keypoint_roi_extractor: dict | None = None,
        reid_roi_extractor: dict | None = None,
        keypoint_classes: Sequence[int] | None = None,
        **host_cfg: Any,
    ) -> None:
        _refuse_other_stages(type(self), super().__init__, host_cfg)
        if "sampling_results" not in inspect.signature(super().bbox_loss).parameters:
            raise BadInputError(
                f"{type(self).__name__} expects a second stage whose bbox_loss gets "
                "sampling_results, got one without; take Faster, Mask or Cascade R-CNN's"
            )
        super().__init__(**host_cfg)
        self.keypoint_classes = keypoint_classes
        self.keypoint_head: Any = None
        self.visibility_head: Any = None
        self.reid_head: Any = None
        if visibility_head is not None and keypoint_head is None:
            raise BadInputError(
                "visibility_head looks at the features of a keypoint_head, got none; add "
                "keypoint_head=dict(type='mmext.KeypointRCNNHead', num_keypoints=...)"
            )
        if keypoint_head is not None:
            extractor = keypoint_roi_extractor or _like_boxes(host_cfg, KEYPOINT_ROI)
            self.keypoint_roi_extractor = HOST_MODELS.build(extractor)
            self.keypoint_head = self._branch(keypoint_head, extractor, host_cfg)
        if visibility_head is not None and self.keypoint_head is not None:
            of_keypoints = dict(
                num_keypoints=self.keypoint_head.num_keypoints,
                in_channels=self.keypoint_head.conv_channels,
            )
            self.visibility_head = HOST_MODELS.build({**of_keypoints, **visibility_head})
        if reid_head is not None:
            extractor = reid_roi_extractor or _like_boxes(host_cfg, REID_ROI)
            self.reid_roi_extractor = HOST_MODELS.build(extractor)
            self.reid_head = self._branch(reid_head, extractor, host_cfg)

    def _branch(self, head: dict, extractor: dict, host_cfg: dict) -> nn.Module:
        """A head whose channels, if nothing else is said, are those of its features."""
        channels = extractor["out_channels"]
        if self.with_shared_head:
            channels = host_cfg["bbox_head"]["in_channels"]
        return HOST_MODELS.build({"in_channels": channels, **head})

    def forward(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: Sequence[InstanceData],
        batch_data_samples: Sequence[DetDataSample] | None = None,
    ) -> tuple:
        """What each branch gives for the proposals, without decoding: the host's, then ours."""
        results = super().forward(x, rpn_results_list, batch_data_samples)
        rois = bbox2roi([one.bboxes for one in rpn_results_list])[:100]
        return results + tuple(self._branches(x, rois).values())

    def loss(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: Sequence[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
    ) -> dict[str, Tensor]:
        """The host's losses and those of the other branches.

        Args:
            x: features of each level.
            rpn_results_list: proposals of each image.
            batch_data_samples: truth of each image; ``gt_instances`` has ``keypoints`` (G, K, 2) in
                pixels of the network's input, ``keypoints_visible`` (G, K) with COCO's 0, 1 or 2,
                and for the embedding ``instances_ids`` (G,), below 0 where unknown.

        Raises:
            BadInputError: the truth lacks a field that a branch learns, or has another number of
                points.
        """
        truths = [sample.gt_instances for sample in batch_data_samples]
        self._check(truths)
        losses = super().loss(x, rpn_results_list, batch_data_samples)
        samples = self.__dict__.pop("samples")  # of bbox_loss; nothing of a step is kept
        return losses | self._pose_losses(x, samples, truths)

    def bbox_loss(self, *args: Any, **kwargs: Any) -> dict:
        """The host's, which is where a host says what it has sampled."""
        bound = inspect.signature(super().bbox_loss).bind(*args, **kwargs)
        self.samples = bound.arguments["sampling_results"]
        return super().bbox_loss(*args, **kwargs)

    def predict(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: Sequence[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Boxes and masks of the host, and what the other branches say of each.

        Args:
            x: features of each level.
            rpn_results_list: proposals of each image.
            batch_data_samples: whose metas say how each image was resized.
            rescale: whether boxes and points are those of the original image.
        """
        results = super().predict(x, rpn_results_list, batch_data_samples, rescale=rescale)
        factors = [
            sample.metainfo["scale_factor"] if rescale else (1.0, 1.0)
            for sample in batch_data_samples
        ]
        self._predict_poses(x, results, factors)
        return results

    def _check(self, truths: list[InstanceData]) -> None:
        """Refuse a truth without what the branches learn."""
        wanted: list[str] = []
        if self.keypoint_head is not None:
            wanted += ["keypoints", "keypoints_visible"]
        if self.reid_head is not None:
            wanted.append("instances_ids")
        for truth in truths:
            if missing := [name for name in wanted if name not in truth]:
                raise BadInputError(
                    f"{type(self).__name__} expects gt_instances with {', '.join(wanted)}, got "
                    f"none of {', '.join(missing)}; pack them with mmext.PackPoseDetInputs, or "
                    "leave out the branch"
                )
            if self.keypoint_head is not None:
                expected, got = self.keypoint_head.num_keypoints, truth.keypoints.shape[1]
                if got != expected:
                    raise BadInputError(
                        f"keypoint_head expects {expected} keypoints an object, got {got} of the "
                        "data set; set num_keypoints to the data set's"
                    )

    def _features(self, x: tuple[Tensor, ...], rois: Tensor, extractor: Any) -> Tensor:
        features = extractor(x[: extractor.num_inputs], rois)
        return self.shared_head(features) if self.with_shared_head else features

    def _branches(self, x: tuple[Tensor, ...], rois: Tensor) -> dict[str, Tensor]:
        """What the branches give for RoIs (N, 5): ``maps``, ``visible``, ``embeddings``."""
        found = {}
        if self.keypoint_head is not None:
            maps, features = self.keypoint_head(
                self._features(x, rois, self.keypoint_roi_extractor)
            )
            found["maps"] = maps
            if self.visibility_head is not None:
                found["visible"] = self.visibility_head(features)
        if self.reid_head is not None:
            found["embeddings"] = self.reid_head(self._features(x, rois, self.reid_roi_extractor))
        return found

    def _pose_losses(
        self, x: tuple[Tensor, ...], samples: list[SamplingResult], truths: list[InstanceData]
    ) -> dict[str, Tensor]:
        """Losses of the branches on the positives, each with the points of its own truth."""
        rois = bbox2roi([sample.pos_priors for sample in samples])

        def own(name: str) -> Tensor:
            pairs = zip(samples, truths, strict=True)
            return torch.cat([truth[name][one.pos_assigned_gt_inds] for one, truth in pairs])

        found = self._branches(x, rois)
        losses: dict[str, Tensor] = {}
        if self.keypoint_head is not None:
            points, visible = own("keypoints"), own("keypoints_visible")
            losses.update(
                self.keypoint_head.loss_by_feat(found["maps"], points, visible > 0, rois[:, 1:])
            )
            if self.visibility_head is not None:
                losses.update(self.visibility_head.loss_by_feat(found["visible"], visible))
        if self.reid_head is not None:
            losses.update(self.reid_head.loss_by_feat(found["embeddings"], own("instances_ids")))
        return losses

    def _predict_poses(
        self,
        x: tuple[Tensor, ...],
        results: list[InstanceData],
        factors: Sequence[Sequence[float]],
    ) -> None:
        """Add to each image's results what the branches say of its boxes, in the same pixels.

        Args:
            x: features of each level.
            results: of each image, with boxes.
            factors: from those boxes to the network's input, in x and y.
        """
        boxes = [
            scale_boxes(one.bboxes, list(factor))
            for one, factor in zip(results, factors, strict=True)
        ]
        rois = bbox2roi(boxes)
        found = self._branches(x, rois)
        fields: dict[str, Tensor] = {}
        if self.keypoint_head is not None:
            points, scores = self.keypoint_head.predict_by_feat(found["maps"], rois[:, 1:])
            if self.visibility_head is not None:
                fields["keypoints_visible"] = found["visible"].float().sigmoid()
                scores = scores * fields["keypoints_visible"]
            if self.keypoint_classes is not None:
                labels = torch.cat([result.labels for result in results])
                having = torch.isin(labels, labels.new_tensor(self.keypoint_classes))
                scores = scores * having[:, None]
            fields.update(keypoints=points, keypoint_scores=scores)
        if self.reid_head is not None:
            fields["embeddings"] = self.reid_head.predict_by_feat(found["embeddings"])
        counts = [len(result) for result in results]
        for name, values in fields.items():
            for result, own in zip(results, values.split(counts), strict=True):
                result[name] = own
        if self.keypoint_head is not None:
            for result, factor in zip(results, factors, strict=True):
                result.keypoints = result.keypoints / result.keypoints.new_tensor(factor)


def _refuse_other_stages(own: type, host: Any, host_cfg: dict) -> None:
    """Refuse what another second stage takes, and a cascade's without its stages."""
    bases = own.__mro__
    stage = bases[bases.index(PoseBranches) + 1].__name__
    takes = inspect.signature(host).parameters
    anything = {name for name, one in takes.items() if one.kind is one.VAR_KEYWORD}
    wanted = {name for name, one in takes.items() if one.default is one.empty} - anything
    other = [] if anything else sorted(host_cfg.keys() - takes.keys())
    missing = sorted(wanted - host_cfg.keys())
    if other or missing:
        got = f"{some(other)} of another" if other else f"none of {some(missing)}"
        raise BadInputError(
            f"{own.__name__} expects the arguments of mmdet's {stage}, got {got}; take "
            "mmext.MTNRoIHead for Faster and Mask R-CNN, mmext.MTNCascadeRoIHead for Cascade "
            "R-CNN, a class of your own from mmext.pose.fastpose.branches.PoseBranches and any "
            "other second stage, or give the boxes of your detector to mmext track"
        )


def _like_boxes(host_cfg: dict, layer: dict) -> dict:
    """The box branch's extractor with RoI features of another size."""
    if host_cfg.get("bbox_roi_extractor") is None:
        raise BadInputError(
            "a branch takes its features as the box branch does, got no bbox_roi_extractor; give "
            "it, or keypoint_roi_extractor and reid_roi_extractor"
        )
    extractor = host_cfg["bbox_roi_extractor"]
    if isinstance(extractor, list):  # one a stage
        extractor = extractor[-1]
    extractor = copy.deepcopy(dict(extractor))
    roi_layer = dict(extractor["roi_layer"])
    extractor["roi_layer"] = {
        **roi_layer,
        **{name: value for name, value in layer.items() if name in roi_layer},
    }
    return extractor
