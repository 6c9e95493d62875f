"""ATSSAssigner: adaptive training sample selection without a matrix of all anchors by all boxes.

Paper     ATSS, Zhang et al. 2019, https://arxiv.org/abs/1912.02424 (assigner of both GFL papers)
Idea      A box takes the anchors nearest to it on each level whose IoU reaches mean + std of them
          all.
Host      mmdet.ATSSAssigner: same arguments, same assignments; also for heads of mmdet.AnchorHead's
          interface
Deviates  marked with DEVIATION below
Letters   N priors (all levels), G ground truths, L levels, A anchors a place, C candidates of a
          ground truth
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from mmdet.models.task_modules.assigners import AssignResult
from mmdet.models.task_modules.assigners import ATSSAssigner as HostATSSAssigner
from mmdet.models.task_modules.assigners.iou2d_calculator import BboxOverlaps2D
from mmdet.registry import TASK_UTILS as HOST_TASK_UTILS
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from mmext.functional import elements_a_block
from mmext.registry import TASK_UTILS

IOU = dict(type="mmdet.BboxOverlaps2D")
NO_OVERLAP = -1e8  # what the host reports as the overlap of a prior without a ground truth
_MARGIN = 0.01  # pixels that a centre must lie inside of a box, as in the authors' code
_TOLERANCE = 0.01  # relative; areas of priors at far coordinates are off by their rounding


def nearest_priors(
    centers: Float[Tensor, "N 2"],
    points: Float[Tensor, "G 2"],
    level_sizes: Sequence[int],
    topk: Sequence[int],
    ignored: Bool[Tensor, " N"] | None = None,
) -> Int[Tensor, "G C"]:
    """Indices of the priors nearest to each point, ``topk[l]`` on level l, or all of a smaller one.

    Of equally distant priors the first ones are taken, whatever the device and the size of the
    chunks.

    Args:
        centers: priors' centres in pixels, level after level.
        points: centres of the ground truths.
        level_sizes: priors of each level; they sum to N.
        topk: how many to take of each level.
        ignored: these come after all others.
    """
    x, y = centers.T.contiguous()
    order = torch.arange(len(x), device=x.device)
    chunk = max(1, elements_a_block(x.device) // len(x))
    rows = []
    for part in points.split(chunk):
        d2 = (x - part[:, :1]).square_().add_((y - part[:, 1:]).square_())
        if ignored is not None:
            d2.masked_fill_(ignored, torch.inf)
        # The bits of a float that is not negative order as its value does: distance first, then
        # index.
        key = d2.view(torch.int32).to(torch.int64).mul_(2**32).add_(order)
        levels = zip(key.split(list(level_sizes), 1), topk, strict=True)
        near = [level.topk(min(k, level.shape[1]), 1, largest=False)[0] for level, k in levels]
        rows.append(torch.cat(near, 1).bitwise_and_(2**32 - 1))
    return torch.cat(rows)


def iou_threshold(iou: Float[Tensor, "G C"]) -> Float[Tensor, "G 1"]:
    """Mean plus standard deviation of the candidates' IoU (Algorithm 1)."""
    # Summed in the host's order, so that even its rounding is the same.
    by_candidate = iou.T.contiguous()
    mean = by_candidate.mean(0)
    # DEVIATION: the deviation of a single candidate is 0. In the host it is NaN, so nothing is
    # positive.
    std = by_candidate.std(0) if iou.shape[1] > 1 else torch.zeros_like(mean)
    return (mean + std)[:, None]


def inside(centers: Float[Tensor, "G C 2"], boxes: Float[Tensor, "G 4"]) -> Bool[Tensor, "G C"]:
    """Whether each candidate's centre lies within its box."""
    low, high = boxes[:, None].chunk(2, -1)
    return torch.minimum(centers - low, high - centers).amin(-1) > _MARGIN


def settle_conflicts(
    candidates: Int[Tensor, "G C"],
    iou: Float[Tensor, "G C"],
    positive: Bool[Tensor, "G C"],
    num_priors: int,
) -> tuple[Int[Tensor, " N"], Float[Tensor, " N"]]:
    """Ground truth of each prior, of the highest IoU, the first of equals; G where there is none.

    Returns:
        The ground truth's index and its IoU, which is ``NO_OVERLAP`` where there is none.
    """
    G = len(candidates)
    # Pairs that are not positive go to a slot behind the last prior, which needs no sync with a
    # GPU.
    place = torch.where(positive, candidates, num_priors)
    at, iou = place.flatten(), iou.flatten()
    best = iou.new_full((num_priors + 1,), NO_OVERLAP).scatter_reduce_(0, at, iou, "amax")
    index = torch.arange(G, device=at.device)[:, None].expand_as(place).flatten()
    index = torch.where(iou == best[at], index, G)
    owner = index.new_full((num_priors + 1,), G).scatter_reduce_(0, at, index, "amin")
    return owner[:-1], best[:-1]


def area_edges(base_anchors: Sequence[Float[Tensor, "_ 4"]]) -> list[float]:
    """Areas between which the anchors of each level lie, L + 1 numbers in square pixels.

    Raises:
        ValueError: the anchors of a level are not all larger than those of the level before.
    """
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in base_anchors]
    ends = [(a.min().item(), a.max().item()) for a in areas]
    between = []
    for level, ((_, largest), (smallest, _)) in enumerate(pairwise(ends)):
        if smallest <= largest * (1 + 2 * _TOLERANCE):
            raise ValueError(
                "prior_generator: the levels are told apart by the anchors' areas, so those of a "
                f"level must be larger than all of the level before; got {smallest:g} px² on level "
                f"{level + 1} and {largest:g} px² on level {level}. Use a head that tells the "
                "levels itself, as ATSSHead does"
            )
        between.append((largest * smallest) ** 0.5)
    return [ends[0][0] * (1 - _TOLERANCE), *between, ends[-1][1] * (1 + _TOLERANCE)]


def level_sizes(priors: Float[Tensor, "N 4"], edges: Sequence[float]) -> list[int]:
    """Priors of each level, from their areas. They may be any part of all priors, in their order.

    Raises:
        ValueError: a prior of another size, or the levels are out of order.
    """
    area = (priors[:, 2] - priors[:, 0]) * (priors[:, 3] - priors[:, 1])
    level = torch.bucketize(area, area.new_tensor(edges))  # 1 to L
    starts = torch.searchsorted(level, torch.arange(1, len(edges) + 1, device=level.device))
    in_order = (level.diff() >= 0).all()
    *bounds, sorted_ = torch.cat([starts, in_order[None]]).tolist()  # the only sync
    if not sorted_ or bounds[0] > 0 or bounds[-1] < len(area):
        raise ValueError(
            f"the priors are not those of prior_generator: expected areas from {edges[0]:g} to "
            f"{edges[-1]:g} px² that grow from level to level, got {area.min():g} to "
            f"{area.max():g} px²{'' if sorted_ else ', not level after level'}; give it the head's "
            "own anchor_generator"
        )
    return [end - start for start, end in pairwise(bounds)]


@TASK_UTILS.register_module()
class ATSSAssigner(HostATSSAssigner):
    """Assign by ATSS, as ``mmdet.ATSSAssigner`` does, in chunks and without its G x N matrices.

    The result is the host's, ``max_overlaps`` included (the IoU with the assigned ground truth,
    -1e8 where there is none, 0 everywhere without ground truth). Where priors are equally distant,
    or ground truths overlap a prior equally, the host takes any; here it is the first. Computed in
    float32.

    With ``prior_generator`` it also serves heads that do not tell how many priors each level has
    (``AnchorHead``, ``RetinaHead`` and what derives from them), and counts k in places.

    Args:
        topk: k, the candidates of each level: priors as in the host, or places with
            ``prior_generator``, all A anchors of a place being equally near. The authors' code does
            the same (k * A anchors).
        alpha: rate of DDOD's cost; with it the host's code runs.
        iou_calculator: any but a plain ``BboxOverlaps2D`` makes the host's code run.
        ignore_iof_thr: priors covered by an ignored box to more than this share are ignored; off if
            not above 0.
        prior_generator: config of the head's ``anchor_generator``, whose anchors grow from level to
            level.

    Raises:
        ValueError: the generator's levels do not differ in size, or it has several anchors a place
            while ``alpha`` or ``iou_calculator`` ask for the host's code.
    """

    def __init__(
        self,
        topk: int,
        alpha: int | float | None = None,
        iou_calculator: dict = IOU,
        ignore_iof_thr: int | float = -1,
        prior_generator: dict | None = None,
    ) -> None:
        super().__init__(topk, alpha, iou_calculator, ignore_iof_thr)
        plain = type(self.iou_calculator) is BboxOverlaps2D and self.iou_calculator.dtype is None
        self.as_host = alpha is not None or not plain
        self.anchors_a_place: list[int] | None = None
        if prior_generator is not None:
            generator = HOST_TASK_UTILS.build(prior_generator)
            self.anchors_a_place = list(generator.num_base_priors)
            self.edges = area_edges(generator.base_anchors)
            if self.as_host and max(self.anchors_a_place) > 1:
                raise ValueError(
                    f"prior_generator has {max(self.anchors_a_place)} anchors a place, which goes "
                    "only with alpha=None and a plain BboxOverlaps2D; leave those two out, or "
                    "take one anchor a place"
                )

    @torch.no_grad()
    def assign(
        self,
        pred_instances: InstanceData,
        num_level_priors: Sequence[int] | InstanceData | None = None,
        gt_instances: InstanceData | None = None,
        gt_instances_ignore: InstanceData | None = None,
    ) -> AssignResult:
        """Assign each prior a ground truth (from 1 on), background (0), or nothing (-1, ignored).

        Args:
            pred_instances: its ``priors`` are boxes (N, 4) in pixels, level after level.
            num_level_priors: priors of each level. ``AnchorHead`` leaves it out, so that what
                follows moves up by one place; then ``prior_generator`` is needed.
            gt_instances: ``bboxes`` and ``labels``.
            gt_instances_ignore: ``bboxes`` to ignore.

        Raises:
            ValueError: the sizes of the levels are neither told nor can be found.
        """
        if isinstance(num_level_priors, InstanceData):
            third = gt_instances if gt_instances is not None else gt_instances_ignore
            num_level_priors, gt_instances, gt_instances_ignore = None, num_level_priors, third
        if gt_instances is None:
            raise TypeError("assign() needs gt_instances with bboxes and labels, got None")
        priors = get_box_tensor(pred_instances.priors)[:, :4].float()
        sizes = self._level_sizes(priors) if num_level_priors is None else num_level_priors
        if self.as_host:
            return super().assign(pred_instances, sizes, gt_instances, gt_instances_ignore)
        boxes, labels = get_box_tensor(gt_instances.bboxes).float(), gt_instances.labels
        G, N = len(boxes), len(priors)
        if G == 0 or N == 0:
            zeros = torch.zeros(N, dtype=torch.long, device=priors.device)
            return AssignResult(G, zeros, priors.new_zeros(N), labels=zeros - 1)
        ignored = self._ignored(priors, gt_instances_ignore)
        owner, overlaps = self._owners(priors, boxes, sizes, ignored)  # (N,) each
        # The host counts ground truths from 1: 0 is background, -1 ignored.
        background = 0 if ignored is None else -ignored.long()
        gt_inds = torch.where(owner < G, owner + 1, background)
        return AssignResult(G, gt_inds, overlaps, labels=F.pad(labels, (0, 1), value=-1)[owner])

    def _owners(
        self, priors: Tensor, boxes: Tensor, sizes: Sequence[int], ignored: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Algorithm 1: ground truth (G where there is none) and IoU of each prior."""
        centers = (priors[:, :2] + priors[:, 2:]) / 2
        points = (boxes[:, :2] + boxes[:, 2:]) / 2
        topk = [self.topk * A for A in self.anchors_a_place or [1] * len(sizes)]
        candidates = nearest_priors(centers, points, sizes, topk, ignored)  # (G, C), lines 3 to 6
        iou = self.iou_calculator(priors[candidates], boxes[:, None]).squeeze(-1)  # (G, C)
        positive = (iou >= iou_threshold(iou)) & inside(centers[candidates], boxes)
        return settle_conflicts(candidates, iou, positive, len(priors))

    def _ignored(self, priors: Tensor, ignore: InstanceData | None) -> Tensor | None:
        """Priors that an ignored box covers, or None if there is no such box or no threshold."""
        if self.ignore_iof_thr <= 0 or ignore is None or len(ignore.bboxes) == 0:
            return None
        covered = torch.zeros(len(priors), dtype=torch.bool, device=priors.device)
        chunk = max(1, elements_a_block(priors.device) // len(priors))
        for part in get_box_tensor(ignore.bboxes).float().split(chunk):
            covered |= (self.iou_calculator(priors, part, mode="iof") > self.ignore_iof_thr).any(1)
        return covered

    def _level_sizes(self, priors: Tensor) -> list[int]:
        if self.anchors_a_place is None:
            raise ValueError(
                "ATSSAssigner must know how many priors each level has, and this head calls "
                "assign() without num_level_priors (as AnchorHead and RetinaHead do): give the "
                "assigner the head's own anchor_generator, "
                "prior_generator={{_base_.model.bbox_head.anchor_generator}} in a config"
            )
        return level_sizes(priors, self.edges)
