"""ScaleNormalizedTTA: a detector tested at several scales, each for the objects of its sizes.

Paper     FastPose, Zhang et al. 2019, https://arxiv.org/abs/1908.05593 (its scale-normalised
          pyramids)
Host      mmengine.BaseTTAModel, behind ``tools/test.py --tta``; pictures come from TestTimeAug
Deviates  the paper tells neither scales nor ranges; how results are merged is our choice
Letters   S scales, V views of a picture (S, or 2 S with mirrored ones), N objects, K points
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.ops import batched_nms
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_flip
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from torch import Tensor

from mmext.errors import BadInputError
from mmext.pose.fastpose.keypoints import flip_points
from mmext.pose.fastpose.scale_views import (
    RANGES,
    Range,
    Region,
    area,
    focus_regions,
    in_range,
    sizes_after,
    whole_in,
)
from mmext.registry import MODELS


@MODELS.register_module()
class ScaleNormalizedTTA(BaseTTAModel):
    """Test every scale, keep of each what is in its range, and merge by NMS.

    Its views come from a ``TestTimeAug`` whose first transforms are S resizes; a flip may follow.
    Fields of the predictions beside boxes, scores and labels come along; masks do not.

    Args:
        ranges: for each resize, in the pipeline's order, the least and the greatest root of an
            object's area in pixels after it; None is open.
        nms: config of the NMS that merges.
        max_per_img: most objects of a picture.
        focus: whether a larger scale looks only where the one below it saw objects too small for
            its own range. The smallest scale always sees all.
        focus_score: least score of an object that draws the next scale there.
        focus_margin: how far around such an object it looks, in times the object's size.
        focus_area: beyond this share of the picture, it looks at all of it.
        flip_pairs: points that a mirrored picture swaps; None is what the data set says.
        host_cfg: the host's arguments: ``module``, the detector, and ``data_preprocessor``.
    """

    def __init__(
        self,
        *,
        ranges: Sequence[Range] = RANGES,
        nms: dict | None = None,
        max_per_img: int = 100,
        focus: bool = False,
        focus_score: int | float = 0.1,
        focus_margin: int | float = 1.0,
        focus_area: int | float = 0.7,
        flip_pairs: Sequence[Sequence[int]] | None = None,
        **host_cfg: Any,
    ) -> None:
        super().__init__(**host_cfg)
        self.ranges: list[Range] = [(low, high) for low, high in ranges]
        self.nms = dict(type="nms", iou_threshold=0.5) if nms is None else nms
        self.max_per_img = max_per_img
        self.focus, self.focus_score = focus, focus_score
        self.focus_margin, self.focus_area = focus_margin, focus_area
        self.flip_pairs = flip_pairs

    def test_step(self, data: dict[str, list]) -> list[DetDataSample]:
        """Predictions of a batch of pictures.

        Args:
            data: ``inputs`` and ``data_samples``, each V lists of one entry a picture.

        Raises:
            BadInputError: V is no multiple of S.
        """
        views, scales = len(data["inputs"]), len(self.ranges)
        if views % scales:
            raise BadInputError(
                f"ScaleNormalizedTTA expects as many resizes as ranges, {scales}, each with as "
                f"many flips, got {views} views of a picture; make them alike"
            )
        if not self.focus:
            return super().test_step(data)
        pictures = range(len(data["inputs"][0]))
        return self.merge_preds([self._focused(data, picture) for picture in pictures])

    def merge_preds(self, data_samples_list: Sequence[Sequence[DetDataSample]]) -> list:
        """One prediction a picture out of those of its V views."""
        return [self._merged(views) for views in data_samples_list]

    def _merged(self, views: Sequence[DetDataSample]) -> DetDataSample:
        kept = []
        for number, view in enumerate(views):
            found, factor = view.pred_instances, view.metainfo["scale_factor"]
            valid = self.ranges[number * len(self.ranges) // len(views)]
            found = found[in_range(sizes_after(found.bboxes, factor), valid)]
            kept.append(self._unflipped(found, view.metainfo))
        merged = InstanceData.cat(kept)
        if len(merged):
            _, order = batched_nms(merged.bboxes, merged.scores, merged.labels, self.nms)
            merged = merged[order[: self.max_per_img]]
        result = views[0].new()
        result.pred_instances = merged
        return result

    def _unflipped(self, found: InstanceData, meta: dict) -> InstanceData:
        """Predictions of a mirrored view as of the picture itself."""
        if "masks" in found:
            raise BadInputError(
                "ScaleNormalizedTTA expects boxes, points and embeddings, got masks, which it "
                "cannot merge; leave out mask_head, or test without --tta"
            )
        if not meta.get("flip"):
            return found
        if (direction := meta["flip_direction"]) != "horizontal":
            raise BadInputError(
                f"ScaleNormalizedTTA expects views mirrored horizontally, got {direction}; leave "
                "the other directions out of TestTimeAug"
            )
        flipped = found.clone()
        flipped.bboxes = bbox_flip(found.bboxes, meta["ori_shape"])
        if "keypoints" in found:
            pairs = meta.get("flip_pairs") if self.flip_pairs is None else self.flip_pairs
            if pairs is None:
                raise BadInputError(
                    "a mirrored view with keypoints expects flip_pairs, got none; write them into "
                    "metainfo of the data set or into tta_model, () if no point has a side"
                )
            names = [one for one in ("keypoint_scores", "keypoints_visible") if one in found]
            values = torch.stack([found[name] for name in names], 2)
            width = meta["ori_shape"][1]
            flipped.keypoints, values = flip_points(found.keypoints, values, width, pairs)
            for name, one in zip(names, values.unbind(2), strict=True):
                flipped[name] = one
        return flipped

    def _focused(self, data: dict[str, list], picture: int) -> list[DetDataSample]:
        """Predictions of each view of a picture, the larger ones only where they are needed."""
        views = len(data["inputs"])
        flips = views // len(self.ranges)
        first = [data["data_samples"][scale * flips][picture] for scale in range(len(self.ranges))]
        order = sorted(range(len(first)), key=lambda scale: first[scale].metainfo["img_shape"])
        found: dict[int, DetDataSample] = {}
        nothing: InstanceData | None = None
        seen: Tensor | None = None  # boxes that draw the next scale, in the picture's own pixels
        for scale in order:
            small = []
            for view in range(scale * flips, (scale + 1) * flips):
                image, sample = data["inputs"][view][picture], data["data_samples"][view][picture]
                regions = self._regions(image, sample, seen)
                found[view] = sample.new()
                if regions or nothing is None:
                    found[view].pred_instances = self._in_regions(image, sample, regions)
                    nothing = found[view].pred_instances[:0]
                else:
                    found[view].pred_instances = nothing.clone()
                small.append(self._too_small(found[view], self.ranges[scale]))
            seen = torch.cat(small)
        return [found[view] for view in range(views)]

    def _too_small(self, view: DetDataSample, valid: Range) -> Tensor:
        """Boxes of a view that a larger scale should look at, in the picture's own pixels."""
        found = self._unflipped(view.pred_instances, view.metainfo)
        sizes = sizes_after(found.bboxes, view.metainfo["scale_factor"])
        return found.bboxes[(sizes < (valid[0] or 0)) & (found.scores >= self.focus_score)]

    def _regions(self, image: Tensor, sample: DetDataSample, around: Tensor | None) -> list[Region]:
        """Parts of a view to look at: all of it, or what lies around the picture's boxes (N, 4)."""
        height, width = image.shape[-2:]
        if around is not None:
            if sample.metainfo.get("flip"):
                around = bbox_flip(around, sample.metainfo["ori_shape"])
            factor = around.new_tensor(sample.metainfo["scale_factor"]).repeat(2)
            parts = focus_regions(around * factor, (height, width), margin=self.focus_margin)
            if area(parts) <= self.focus_area * height * width:
                return parts
        return [(0, 0, width, height)]

    def _in_regions(
        self, image: Tensor, sample: DetDataSample, regions: Sequence[Region]
    ) -> InstanceData:
        """What the detector finds in parts of a view, in pixels of the picture."""
        size = (image.shape[-2], image.shape[-1])
        crops, samples, found = [], [], []
        for left, top, right, bottom in regions:
            crops.append(image[..., top:bottom, left:right])
            samples.append(sample.new())
            samples[-1].set_metainfo(dict(img_shape=(bottom - top, right - left)))
        answers = self.module.test_step(dict(inputs=crops, data_samples=samples))
        for region, answer in zip(regions, answers, strict=True):
            one = answer.pred_instances
            factor = one.bboxes.new_tensor(sample.metainfo["scale_factor"])
            offset = one.bboxes.new_tensor(region[:2])
            whole = whole_in(one.bboxes * factor.repeat(2) + offset.repeat(2), region, size)
            one.bboxes = one.bboxes + (offset / factor).repeat(2)
            if "keypoints" in one:
                one.keypoints = one.keypoints + offset / factor
            found.append(one[whole])
        return InstanceData.cat(found)
