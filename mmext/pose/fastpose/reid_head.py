"""RoIReIDHead: an embedding of each RoI that stays alike for one object and differs from others'.

Paper     FastPose, Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      none of mmdet's: its re-ID heads take whole pictures and want mmpretrain
Letters   N RoIs, C channels, h w cells of their features, D numbers of an embedding
"""

from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmext.functional import at_least_float32
from mmext.pose.fastpose.keypoint_head import mean_over
from mmext.pose.fastpose.reid import batch_hard_triplet, norm_over
from mmext.registry import MODELS

INIT = (
    dict(type="Kaiming", layer="Conv2d"),
    dict(type="Normal", layer="Linear", std=0.01),
)


@MODELS.register_module()
class RoIReIDHead(BaseModule):
    """Two convolutions, their mean and one layer; trained by identity and by triplets.

    Objects of unknown identity (below 0) train nothing.

    Args:
        num_ids: identities of the training set, which are numbered from 0. One that is not below it
            trains by triplets alone, and with 0 all do.
        in_channels: channels of a RoI's features; in an ``MTNRoIHead`` those of its extractor.
        conv_channels: channels of the convolutions.
        embed_channels: D.
        margin: of the triplets.
        loss_weight: factor of the cross-entropy over identities.
        triplet_weight: factor of the triplets.
        momentum: of the running statistics of the batch norm before the classifier.
        init_cfg: as in mmengine's modules.
    """

    def __init__(
        self,
        num_ids: int = 0,
        *,
        in_channels: int = 256,
        conv_channels: int = 256,
        embed_channels: int = 128,
        margin: int | float = 0.3,
        loss_weight: int | float = 1.0,
        triplet_weight: int | float = 0.3,
        momentum: int | float = 0.1,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=list(INIT) if init_cfg is None else init_cfg)
        self.num_ids, self.margin = num_ids, margin
        self.factor, self.triplet_factor = loss_weight, triplet_weight
        self.convs = nn.Sequential(
            ConvModule(in_channels, conv_channels, 3, padding=1),
            ConvModule(conv_channels, conv_channels, 3, padding=1),
        )
        self.fc = nn.Linear(conv_channels, embed_channels)
        if num_ids:
            self.neck = nn.BatchNorm1d(embed_channels, momentum=momentum)
            # A shift would move all identities' scores alike, and the embedding off its centre.
            self.neck.bias.requires_grad_(False)
            self.classifier = nn.Linear(embed_channels, num_ids, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings (N, D), not of length 1 yet, of features (N, C, h, w)."""
        return self.fc(self.convs(x).mean((2, 3)))

    def loss_by_feat(self, embeddings: Tensor, identity: Tensor) -> dict[str, Tensor]:
        """Return ``loss_triplet`` and, with a classifier, ``loss_identity``: means over all ranks.

        Args:
            embeddings: (N, D), as :meth:`forward` gives them.
            identity: (N,), int64.
        """
        # Distances and variances are differences of near numbers: autocast would round them away.
        with torch.autocast(embeddings.device.type, enabled=False):
            return self._losses(at_least_float32(embeddings), identity)

    def _losses(self, embeddings: Tensor, identity: Tensor) -> dict[str, Tensor]:
        triplet, counted = batch_hard_triplet(
            F.normalize(embeddings, dim=1), identity, margin=self.margin
        )
        losses = dict(loss_triplet=self.triplet_factor * mean_over(triplet, counted))
        if self.num_ids:
            known = (identity >= 0) & (identity < self.num_ids)
            normed = self._normed(embeddings, known)
            # Weights of bfloat16 are read as they are, but summed in the precision of the loss.
            scores = F.linear(normed, self.classifier.weight.to(normed.dtype))
            loss = F.cross_entropy(scores, identity.where(known, 0), reduction="none")
            losses.update(loss_identity=self.factor * mean_over(loss, known))
        return losses

    def predict_by_feat(self, embeddings: Tensor) -> Tensor:
        """Embeddings of length 1."""
        return F.normalize(embeddings.float(), dim=1)

    def _normed(self, embeddings: Tensor, known: Tensor) -> Tensor:
        """Through the batch norm, whose statistics are those of known objects."""
        neck: Any = self.neck
        dtype = embeddings.dtype
        running = neck.running_mean.to(dtype), neck.running_var.to(dtype)
        if not self.training:
            known = known & False
        normed, mean, var = norm_over(embeddings, known, *running, eps=neck.eps)
        if self.training:
            neck.running_mean.lerp_(mean.to(neck.running_mean), neck.momentum)
            neck.running_var.lerp_(var.to(neck.running_var), neck.momentum)
            neck.num_batches_tracked += 1
        return normed * neck.weight + neck.bias
