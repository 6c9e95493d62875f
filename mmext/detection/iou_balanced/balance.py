"""IoUBalance: what the heads share. It holds the exponents, the scope of Z and the calibration of w_loc.

Paper     IoU-balanced loss functions, Wu et al. 2019, https://arxiv.org/abs/1908.05641
Host      mmdet 3.x
Letters   P positives
"""

from collections.abc import Callable
from typing import Any

import torch
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from mmext.detection.iou_balanced.losses import iou_balanced_weight
from mmext.detection.iou_balanced.positives import Positives, delta_iou

BALANCE = dict(eta=1.5, lam=1.5, w_loc="auto", cls_scope="level")
"""The paper's exponents, which the heads take by default."""
SCOPES = ("level", "image", "batch", "global")
# Their targets hold the IoU already, or their weights come from the statistics of the whole batch.
REFUSED_CLS = ("QualityFocalLoss", "VarifocalLoss", "GHMC")
REFUSED_BBOX = ("GHMR",)
CALIBRATION_IOU = 0.5


class IoUBalance(nn.Module):
    """The paper's two weights. It has no parameters; with ``w_loc="auto"`` it has buffers.

    Args:
        eta: exponent of the classification weight; None leaves classification alone.
        lam: exponent of the localisation weight; None leaves localisation alone.
        w_loc: factor of the localisation weight. A number is used as it is. ``"auto"`` is the ratio of the
            plain to the weighted localisation losses over the first ``calib_iters`` training steps with a
            mean IoU of at least a half, over all ranks, so that balancing does not change the size of the
            loss at the start; it is fixed from then on and lies in the checkpoint.
        cls_scope: which positives share the normaliser of the classification weights. ``"level"``: what
            the host computes in one go, as in the authors' code (a pyramid level; in SSD an image; in
            R-CNN all RoIs). ``"image"``; ``"batch"``: the images of one rank, the paper's Eq. 2;
            ``"global"``: those of all ranks.
        iou_floor: least IoU in the localisation weight; with 0 a box that misses its ground truth gets
            no localisation gradient, as in the paper.
        calib_iters: training steps that ``w_loc="auto"`` looks at. One, as by hand, is a noisy estimate
            where a batch has few positives.

    Raises:
        ValueError: an argument is out of its range.
    """

    calib_sums: Tensor
    calib_steps: Tensor

    def __init__(
        self,
        eta: int | float | None = 1.5,
        lam: int | float | None = 1.5,
        w_loc: int | float | str = "auto",
        cls_scope: str = "level",
        iou_floor: int | float = 0.0,
        calib_iters: int = 10,
    ) -> None:
        super().__init__()
        for name, value in (("eta", eta), ("lam", lam)):
            if value is not None and value < 0:
                raise ValueError(f"{name} must be at least 0, or None to turn its half off; got {value}")
        if w_loc != "auto" and (isinstance(w_loc, str) or w_loc <= 0):
            raise ValueError(f"w_loc must be 'auto' or above 0, got {w_loc!r}")
        if cls_scope not in SCOPES:
            raise ValueError(f"cls_scope must be one of {SCOPES}, got {cls_scope!r}")
        if not 0 <= iou_floor <= 1:
            raise ValueError(f"iou_floor is an IoU and must lie in [0, 1], got {iou_floor}")
        if calib_iters < 1:
            raise ValueError(f"calib_iters must be at least 1, got {calib_iters}")
        self.eta, self.lam = eta, lam
        self.w_loc = w_loc
        self.cls_scope = cls_scope
        self.iou_floor = iou_floor
        self.calib_iters = calib_iters
        if self.calibrates:
            self.register_buffer("calib_sums", torch.zeros(2))  # plain, weighted
            self.register_buffer("calib_steps", torch.zeros((), dtype=torch.long))

    @property
    def calibrates(self) -> bool:
        """Whether ``w_loc`` is worked out here."""
        return self.lam is not None and self.w_loc == "auto"

    def refuse(self, loss_cls: nn.Module | None, loss_bbox: nn.Module | None) -> None:
        """Raise ``ValueError`` where a loss of the head and this weighting do not go together."""
        if self.eta is not None and loss_cls is not None:
            if name := _named(loss_cls, REFUSED_CLS):
                raise ValueError(
                    f"IoU-balanced classification expects a loss without IoU or batch statistics of its own, "
                    f"got {name}, which would count them twice; use FocalLoss or CrossEntropyLoss, or set "
                    "eta=None"
                )
            if getattr(loss_cls, "custom_cls_channels", False):
                raise ValueError(
                    f"IoU-balanced classification expects one score a class, got {type(loss_cls).__name__} "
                    "with channels of its own; use FocalLoss or CrossEntropyLoss, or set eta=None"
                )
        if self.lam is not None and loss_bbox is not None and (name := _named(loss_bbox, REFUSED_BBOX)):
            raise ValueError(
                f"IoU-balanced localisation expects a loss without batch statistics of its own, got {name}; "
                "use SmoothL1Loss, L1Loss or an IoU loss, or set lam=None"
            )

    def loc_weight(self, iou: Tensor) -> Tensor:
        """``iou**lam`` (Eq. 4) without ``w_loc``, which :meth:`finish` applies; ones where lam is None."""
        if self.lam is None:
            return torch.ones_like(iou)
        return iou.clamp_min(self.iou_floor) ** self.lam

    @torch.no_grad()
    def loc_sums(self, loss: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
        """Plain and weighted localisation loss, (2,), while they are needed; else zeros.

        Args:
            loss: from a factor a positive (P,) to the losses, unreduced.
            weight: :meth:`loc_weight` of the positives, (P,).
        """
        if not self._calibrating or len(weight) == 0:
            return weight.new_zeros(2, dtype=torch.float32)
        return torch.stack([loss(torch.ones_like(weight)).sum(), loss(weight).sum()]).float()

    @property
    def _calibrating(self) -> bool:
        return self.calibrates and self.training and int(self.calib_steps) < self.calib_iters

    @torch.no_grad()
    def _current_w_loc(self, positives: Positives) -> Tensor:
        """``w_loc`` of this step; while calibrating, the step is taken into account.

        DEVIATION: the authors' anchors overlap their ground truths by half or more from the first step on.
        Boxes that do not (FCOS starts with points) would calibrate a factor in the hundreds, so steps
        below a mean IoU of a half do not count, and until one counts each is normalised by itself (Eq. 5).
        """
        iou = positives.iou
        if not self.calibrates:
            return iou.new_tensor(1.0 if self.lam is None else self.w_loc)
        sums = self.calib_sums
        if self._calibrating:
            overlap = torch.stack([iou.sum(), iou.new_tensor(len(iou))]).float()
            step, (iou_sum, count) = reduce_mean(torch.cat([positives.loc_sums, overlap])).split(2)
            if step[1] > 0 and iou_sum >= CALIBRATION_IOU * count:
                self.calib_sums += step
                self.calib_steps += 1
            if int(self.calib_steps) == 0:
                sums = step
        plain, weighted = sums
        return torch.where(weighted > 0, plain / weighted, 1.0).to(iou)

    def finish(self, losses: dict[str, Any], positives: Positives) -> dict[str, Any]:
        """Balance the losses of a call and add what is worth logging.

        Args:
            losses: the host's; ``loss_cls`` and ``loss_bbox`` are a tensor or a list of them. In the latter
                the positives are weighted with :meth:`loc_weight` already.
            positives: those of all units.
        """
        iou = positives.iou
        if self.lam is not None:
            w_loc = losses["w_loc"] = self._current_w_loc(positives)
            plain = losses["loss_bbox"]
            losses["loss_bbox"] = [x * w_loc for x in plain] if isinstance(plain, list) else plain * w_loc
        if self.eta is not None:
            plain, more = losses.get("loss_cls", 0), self._cls_correction(positives, self.eta)
            # A list is summed up by mmengine, so that one more entry adds to it.
            losses["loss_cls"] = [*plain, more] if isinstance(plain, list) else plain + more
        # Keys without the word loss: mmengine logs them and sums up the others.
        losses["iou_pos_mean"] = iou.sum() / max(len(iou), 1)
        return losses

    def _cls_correction(self, positives: Positives, eta: int | float) -> Tensor:
        """``sum_i (w_i - 1) * l_i``: what turns the host's classification loss into the balanced one.

        The host's sum over the other classes and the negatives, whose weight is 1, stays untouched.
        """
        scope, num_scopes = self._scopes(positives)
        weight = iou_balanced_weight(
            positives.loss,
            positives.iou,
            exponent=eta,
            scope=scope,
            num_scopes=num_scopes,
            over_ranks=reduce_mean if self.cls_scope == "global" else None,
        )
        return ((weight - 1) * positives.loss).sum() / positives.divisor

    def _scopes(self, positives: Positives) -> tuple[Tensor | None, int]:
        """Index of the scope of each positive, and the number of scopes."""
        if self.cls_scope == "level":
            return positives.unit, positives.num_units
        if self.cls_scope == "image":
            image = positives.unit if positives.image is None else positives.image
            return image, int(image.max()) + 1 if len(image) else 1
        return None, 1


def _named(loss: nn.Module, names: tuple[str, ...]) -> str | None:
    """The name of the loss if it or a class that it derives from is among ``names``."""
    found = {kind.__name__ for kind in type(loss).__mro__} & set(names)
    return type(loss).__name__ if found else None


def balance_deltas(
    head: Any,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    prior: Tensor,
    pred: Tensor,
    target: Tensor,
    weight: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """IoU (P,), balanced weights (P, 4) and loc_sums (2,) of a head that regresses deltas of priors.

    Args:
        head: gives ``iou_balance``, ``bbox_coder`` and ``reg_decoded_bbox``.
        loss: unreduced localisation loss of prediction, target and weight.
        prior: boxes (P, 4) that the deltas start from.
        pred: predicted deltas (P, 4).
        target: deltas (P, 4), or boxes where the head decodes before its loss.
        weight: the host's (P, 4).
    """
    decoded = head.reg_decoded_bbox
    iou = delta_iou(head.bbox_coder, prior, pred, target, decoded_target=decoded)
    power = head.iou_balance.loc_weight(iou)

    def loc_loss(factor: Tensor) -> Tensor:
        boxes = get_box_tensor(head.bbox_coder.decode(prior, pred)) if decoded else pred
        return loss(boxes, target, weight * factor[:, None])

    return iou, weight * power[:, None], head.iou_balance.loc_sums(loc_loss, power)
