"""GFLv2Head: how sharp the box sides' distributions are tells how good the box is.

Paper     Generalized Focal Loss V2, Li et al. 2020, https://arxiv.org/abs/2011.12885
Idea      A tiny net reads how peaked the sides' distributions are, and scales the class score with
          it.
Host      mmdet.GFLHead through mmext.GFLHead: targets, losses and predictions are those of
          version 1
Deviates  The head gives the logit of the joint score where the authors' gives the probability:
          equal in value and gradient, but safe in half precision and fit for every loss that
          version 1 takes.
Letters   B images, H W map, K classes, R = reg_max + 1 bins a side, k = reg_topk, c and q logits
"""

import logging
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from mmdet.models.dense_heads import GFLHead as HostGFLHead
from mmengine.logging import print_log
from torch import Tensor, nn

from mmext.detection.gfl.head import GFLHead
from mmext.functional import at_least_float32
from mmext.registry import MODELS

SIDES = 4


def top_probabilities(logits: Float[Tensor, "B S R H W"], k: int) -> Float[Tensor, "B S {k} H W"]:
    """The k highest probabilities of each side's distribution, highest first, in float32 or better.

    Args:
        logits: distributions over R bins, before the softmax.
        k: how many to keep, at most R.
    """
    return at_least_float32(logits).softmax(2).topk(k, dim=2).values


def fold_mean(weight: Float[Tensor, "C I 1 1"]) -> Float[Tensor, "C J 1 1"]:
    """Weight on (k top values) that acts as ``weight`` on (k top values and mean), side by side.

    The mean is linear in the values, so
    ``w_top @ t + w_mean * mean(t) = (w_top + w_mean / k) @ t``. The convolution then reads 4k
    channels, and the mean is never written to memory.
    """
    by_side = weight.unflatten(1, (SIDES, -1))  # (C, 4, k + 1, 1, 1)
    top, mean = by_side[:, :, :-1], by_side[:, :, -1:]
    return (top + mean / top.shape[2]).flatten(1, 2)


def joint_logit(
    c: Float[Tensor, "B K H W"], q: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, "B K H W"]:
    """Logit of ``sigmoid(c) * sigmoid(q)``, exact where the product itself would round to 0 or 1.

    ``z = -logsumexp(-c, -q, -c - q)``. The last two terms are ``-logsigmoid(c) - q``, or with c and
    q exchanged ``-logsigmoid(q) - c``, which leaves one operation on K channels. Of a
    half-precision ``c`` and a float32 ``q`` the result is float32.

    Example:
        >>> joint_logit(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)).sigmoid().item()
        0.25
    """
    return -torch.logaddexp(-q, -F.logsigmoid(q) - c)


def drop_background(head: HostGFLHead, state_dict: dict, prefix: str) -> None:
    """Take the background's row out of a checkpoint's last classification layer, and log that.

    The authors set ``use_sigmoid=False`` for their loss on probabilities, so their head has K + 1
    classes.
    """
    keys = [f"{prefix}gfl_cls.{name}" for name in ("weight", "bias")]
    K: Any = head.cls_out_channels
    if all(key in state_dict and len(state_dict[key]) == K + 1 for key in keys):
        state_dict.update({key: state_dict[key][:K] for key in keys})
        print_log(
            f"{type(head).__name__}: the checkpoint has {K + 1} classes for {K}, as the authors' "
            "have, whose last is the background; it is left out",
            logger="current",
            level=logging.WARNING,
        )


@MODELS.register_module()
class GFLv2Head(GFLHead):
    """Generalized Focal Loss V2: ``mmext.GFLHead`` with a distribution-guided quality predictor.

    The class score becomes ``sigmoid(class logit) * sigmoid(quality logit)``; the quality is read
    off the shape of the four distributions by two 1 x 1 convolutions that all levels share.
    ``forward`` returns the joint score's logit, so losses, prediction and distillation of version 1
    work as they are, with ``loss_cls`` a plain quality focal loss (``use_sigmoid=True``).

    Checkpoints of version 1 load with ``reg_conf.*`` missing, those of the authors' head load
    whole: their row for the background, which nothing reads, is left out with a note in the log.

    Args:
        num_classes: classes without background.
        in_channels: channels of each level.
        reg_max: last bin of a side's distribution, in strides.
        reg_topk: how many of each side's highest probabilities the predictor sees, 1 to
            ``reg_max + 1``.
        reg_channels: hidden channels of the predictor.
        add_mean: let it see the mean of those probabilities too, as a channel with a weight of its
            own.
        detach_stats: keep the class loss from shaping the distributions. The paper lets it.
        host_cfg: every other argument of ``mmext.GFLHead``, such as ``avg_factor_floor``,
            ``loss_cls``, ``stacked_convs``, ``train_cfg``.

    Raises:
        ValueError: ``reg_topk`` or ``reg_channels`` is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        reg_max: int = 16,
        reg_topk: int = 4,
        reg_channels: int = 64,
        add_mean: bool = True,
        detach_stats: bool = False,
        **host_cfg: Any,
    ) -> None:
        if not 1 <= reg_topk <= reg_max + 1:
            raise ValueError(
                f"reg_topk must be within 1 and {reg_max + 1} (a side has reg_max + 1 bins), got "
                f"{reg_topk}; the paper uses 4"
            )
        if reg_channels < 1:
            raise ValueError(
                f"reg_channels must be at least 1, got {reg_channels}; the paper uses 64"
            )
        # The host's constructor calls _init_layers, which reads these.
        self.reg_topk = reg_topk
        self.reg_channels = reg_channels
        self.add_mean = add_mean
        self.detach_stats = detach_stats
        super().__init__(num_classes, in_channels, reg_max=reg_max, **host_cfg)

    def _init_layers(self) -> None:
        super()._init_layers()
        self.reg_conf = nn.Sequential(  # name and indices are those of the authors' checkpoints
            nn.Conv2d(SIDES * (self.reg_topk + self.add_mean), self.reg_channels, 1),
            nn.ReLU(),
            nn.Conv2d(self.reg_channels, 1, 1),
        )

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        drop_background(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward_single(self, x: Tensor, scale: nn.Module) -> tuple[Tensor, Tensor]:
        """Logits of joint score (B, K, H, W) and distributions (B, 4 * R, H, W) of one level."""
        cls_score, bbox_pred = super().forward_single(x, scale)
        return joint_logit(cls_score, self._quality_logit(bbox_pred)), bbox_pred

    def _quality_logit(self, bbox_pred: Tensor) -> Tensor:
        """What the distributions' shape says of the box, (B, 1, H, W), float32 also in autocast."""
        logits = bbox_pred.detach() if self.detach_stats else bbox_pred
        # Autocast would round the probabilities and the hidden layer; in float32 they cost next to
        # nothing.
        with torch.autocast(logits.device.type, enabled=False):
            top = top_probabilities(logits.unflatten(1, (SIDES, -1)), self.reg_topk).flatten(1, 2)
            w1, b1, w2, b2 = (parameter.to(top.dtype) for parameter in self.reg_conf.parameters())
            hidden = F.conv2d(top, fold_mean(w1) if self.add_mean else w1, b1).relu_()
            return F.conv2d(hidden, w2, b2)
