"""IoUBalance, what the heads share: the exponents, the scope of Z and the calibration of w_loc.

Paper     IoU-balanced loss functions, Wu et al. 2019, https://arxiv.org/abs/1908.05641
Host      mmdet 3.x
Letters   P positives
"""

import inspect
from typing import Any

import torch
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from mmext.detection.iou_balanced.losses import iou_balanced_weight
from mmext.detection.iou_balanced.positives import Positives
from mmext.detection.positives import derives_from
from mmext.engine.optional_weights import only_for_training
from mmext.errors import did_you_mean

BALANCE = dict(eta=1.5, lam=1.5, w_loc="auto", cls_scope="level")
"""The paper's exponents, which the heads take by default."""
SCOPES = ("level", "image", "batch", "global")
# Their targets hold the IoU already, or their weights come from the statistics of the whole batch.
REFUSED_CLS = ("QualityFocalLoss", "VarifocalLoss", "GHMC")
REFUSED_BBOX = ("GHMR",)
CALIBRATION_IOU = 0.5


class IoUBalance(nn.Module):
    """The paper's two weights. It has no parameters; with ``w_loc="auto"`` it has buffers.

    Checkpoints load strictly with and without these buffers, which matter to training alone.

    Args:
        eta: exponent of the classification weight; None leaves classification alone.
        lam: exponent of the localisation weight; None leaves localisation alone.
        w_loc: factor of the localisation weight. A number is used as it is. ``"auto"`` is the ratio
            of the plain to the weighted localisation losses over the first ``calib_iters`` training
            steps with a mean IoU of at least a half, over all ranks, so that balancing does not
            change the size of the loss at the start; it is fixed from then on and lies in the
            checkpoint.
        cls_scope: which positives share the normaliser of the classification weights. ``"level"``:
            what the host computes in one go, as in the authors' code (a pyramid level; in SSD an
            image; in R-CNN all RoIs). ``"image"``; ``"batch"``: the images of one rank, the paper's
            Eq. 2; ``"global"``: those of all ranks.
        iou_floor: least IoU in the localisation weight; with 0 a box that misses its ground truth
            gets no localisation gradient, as in the paper.
        calib_iters: training steps that ``w_loc="auto"`` looks at. One, as by hand, is a noisy
            estimate where a batch has few positives.

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
                raise ValueError(
                    f"{name} must be at least 0, or None to turn its half off; got {value}"
                )
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
        self._steps: int | None = None  # calib_steps, so that a GPU is not waited for in every step
        only_for_training(self, "calib_")

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._steps = None

    @property
    def calibrates(self) -> bool:
        """Whether ``w_loc`` is worked out here."""
        return self.lam is not None and self.w_loc == "auto"

    def refuse(self, loss_cls: nn.Module | None, loss_bbox: nn.Module | None) -> None:
        """Raise ``ValueError`` where a loss of the head and this weighting do not go together."""
        if self.eta is not None and loss_cls is not None:
            if derives_from(loss_cls, REFUSED_CLS):
                raise ValueError(
                    "IoU-balanced classification expects a loss without IoU or batch statistics "
                    f"of its own, got {type(loss_cls).__name__}, which would count them twice; use "
                    "FocalLoss or CrossEntropyLoss, or set eta=None"
                )
            if getattr(loss_cls, "custom_cls_channels", False):
                raise ValueError(
                    "IoU-balanced classification expects one score a class, got "
                    f"{type(loss_cls).__name__} with channels of its own; use FocalLoss or "
                    "CrossEntropyLoss, or set eta=None"
                )
        if self.lam is not None and loss_bbox is not None and derives_from(loss_bbox, REFUSED_BBOX):
            raise ValueError(
                "IoU-balanced localisation expects a loss without batch statistics of its own, "
                f"got {type(loss_bbox).__name__}; use SmoothL1Loss, L1Loss or an IoU loss, or set "
                "lam=None"
            )

    def finish(self, losses: dict[str, Any], positives: Positives) -> dict[str, Any]:
        """Balance the losses of a call and add what is worth logging.

        Args:
            losses: the host's; ``loss_cls`` and ``loss_bbox`` are a tensor or a list of them.
            positives: those of all units.
        """
        iou = positives.iou
        if self.lam is not None:
            power = iou.clamp_min(self.iou_floor) ** self.lam  # Eq. 4 without w_loc
            w_loc = losses["w_loc"] = self._current_w_loc(positives, power)
            more = _reweighted(positives.box_loss, w_loc * power, positives.box_divisor)
            losses["loss_bbox"] = _plus(losses["loss_bbox"], more)
        if self.eta is not None:
            weight = self._cls_weight(positives, self.eta)
            more = _reweighted(positives.cls_loss, weight, positives.cls_divisor)
            # Without samples mmdet's box head leaves its loss out.
            losses["loss_cls"] = _plus(losses.get("loss_cls", 0), more)
        # Keys without the word loss: mmengine logs them and sums up the others.
        losses["iou_pos_mean"] = iou.sum() / max(len(iou), 1)
        return losses

    @torch.no_grad()
    def _current_w_loc(self, positives: Positives, power: Tensor) -> Tensor:
        """``w_loc`` of this step; while calibrating, the step is taken into account.

        DEVIATION: the authors' anchors overlap their ground truths by half or more from the first
        step on. Boxes that do not (FCOS starts with points) would calibrate a factor in the
        hundreds, so steps below a mean IoU of a half do not count, and until one counts each is
        normalised by itself (Eq. 5).
        """
        if not self.calibrates:
            return power.new_tensor(self.w_loc)
        sums = self.calib_sums if self._calibrated else self._calibrate(positives, power)
        plain, weighted = sums
        return torch.where(weighted > 0, plain / weighted, 1.0).to(power)

    @property
    def _calibrated(self) -> bool:
        """Whether the buffers are final. They are looked at once, after a start or a load."""
        if self._steps is None:
            self._steps = int(self.calib_steps)
        return self._steps >= self.calib_iters

    def _calibrate(self, positives: Positives, power: Tensor) -> Tensor:
        """Plain and weighted localisation loss (2,) of the steps that count, else of this one."""
        if not self.training:
            return self.calib_sums
        loss, iou = positives.box_loss.detach(), positives.iou
        local = [loss.sum(), (power * loss).sum(), iou.sum(), iou.new_tensor(len(iou))]
        step, (iou_sum, count) = reduce_mean(torch.stack([x.float() for x in local])).split(2)
        # The host waits here for the device, in the steps of the calibration alone.
        if (step[1] > 0) & (iou_sum >= CALIBRATION_IOU * count):
            self.calib_sums += step
            self.calib_steps += 1
            self._steps = (self._steps or 0) + 1
        return self.calib_sums if self._steps else step

    def _cls_weight(self, positives: Positives, eta: int | float) -> Tensor:
        """Weight (P,) of each positive's own class (Eq. 1, 2)."""
        scope, num_scopes = self._scopes(positives)
        return iou_balanced_weight(
            positives.cls_loss,
            positives.iou,
            exponent=eta,
            scope=scope,
            num_scopes=num_scopes,
            over_ranks=reduce_mean if self.cls_scope == "global" else None,
        )

    def _scopes(self, positives: Positives) -> tuple[Tensor | None, int]:
        """Index of the scope of each positive, and the number of scopes."""
        if self.cls_scope == "level":
            return positives.unit, positives.num_units
        if self.cls_scope == "image":
            return positives.image, positives.num_images
        return None, 1


def balance_of(
    iou_balance: dict, loss_cls: nn.Module | None, loss_bbox: nn.Module | None
) -> IoUBalance:
    """The balance of a head, from its config and the losses that go with it.

    Raises:
        ValueError: a key is unknown, an argument out of its range, or a loss does not fit.
    """
    known = list(inspect.signature(IoUBalance).parameters)
    for key in iou_balance:
        if key not in known:
            raise ValueError(
                f"iou_balance has no key {key!r}{did_you_mean(key, known)}; it takes "
                f"{', '.join(known)}"
            )
    balance = IoUBalance(**iou_balance)
    balance.refuse(loss_cls, loss_bbox)
    return balance


def _reweighted(loss: Tensor, weight: Tensor, divisor: int | float | Tensor) -> Tensor:
    """``sum_i (w_i - 1) * l_i``: what turns the host's plain sum into the weighted one.

    All that the host has summed up besides, such as negatives and other classes, stays untouched,
    and weights of 1 change no bit.
    """
    return ((weight - 1) * loss).sum() / divisor


def _plus(plain: Any, more: Tensor) -> Any:
    """A host's loss and one more part; mmengine sums up a list, so one more entry adds to it."""
    return [*plain, more] if isinstance(plain, list) else plain + more
