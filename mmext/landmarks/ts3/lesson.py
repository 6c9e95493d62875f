"""One lesson of the teacher: pictures with labels of known error, and what it says of them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmext.errors import did_you_mean
from mmext.functional import reduce_loss
from mmext.landmarks.ts3.corruptions import corrupted, mean_error
from mmext.landmarks.ts3.losses import OBJECTIVES, lsgan_loss, quality_loss, rank_loss
from mmext.landmarks.ts3.teacher import shown

COPIES = 2
"""Corrupted labels that a picture is shown with in a lesson."""


@dataclass(frozen=True)
class Lesson:
    """How the teacher is taught.

    Args:
        objective: ``quality`` learns exp(-e / tau) of labels of known error, ``rank`` which of two
            is better, ``lsgan`` to tell people's labels from the students'.
        tau: error, in sides of the input, whose quality is 1 / e.
        size: longer side of what the teacher is shown, in pixels.
        sigma: of the Gaussians that it is shown, in longer sides.
    """

    objective: str = "quality"
    tau: float = 0.1
    size: int = 64
    sigma: float = 0.05

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(
                f"objective must be one of {OBJECTIVES}, got {self.objective!r}"
                + (did_you_mean(self.objective, OBJECTIVES) or "; give one of these")
            )
        if not self.tau > 0 or not self.sigma > 0:
            raise ValueError(
                f"tau and sigma must be above 0, got {self.tau} and {self.sigma}; change them"
            )

    def judged(
        self,
        teacher: Callable[[Tensor], Tensor],
        images: Float[Tensor, "B 3 H W"],
        points: Float[Tensor, "B K 2"],
    ) -> Float[Tensor, " B"]:
        """What the teacher says of labels: the mean over its patches, at least in float32."""
        patches = teacher(shown(images, points, size=self.size, sigma=self.sigma))
        return patches.to(torch.promote_types(patches.dtype, torch.float32)).mean((1, 2, 3))

    def loss(
        self,
        teacher: Callable[[Tensor], Tensor],
        images: Float[Tensor, "B 3 H W"],
        truth: Float[Tensor, "B K 2"],
        visible: Float[Tensor, "B K"],
        guesses: Float[Tensor, "B G K 2"],
        *,
        generator: torch.Generator,
        partner: Int[Tensor, " K"] | None = None,
    ) -> Float[Tensor, ""]:
        """The teacher's loss on labelled pictures.

        A point without a label is shown where a student puts it, as it is when pseudo-labels are
        judged: that it is missing would give the truth away.

        Args:
            teacher: gives patches.
            images: labelled by people.
            truth: their labels.
            visible: above 0 where there is a label.
            guesses: labels by students of the same pictures.
            generator: of the corruptions.
            partner: number of the point on the other side.
        """
        B, _, H, W = images.shape
        side = float(max(H, W))
        which = torch.randint(
            guesses.shape[1], (B, 1, 1, 1), generator=generator, device=images.device
        )
        one = guesses.gather(1, which.expand(-1, -1, *guesses.shape[2:]))[:, 0]
        filled = torch.where(visible[..., None] > 0, truth, one)
        labels = [filled, *guesses.unbind(1)]
        if self.objective != "lsgan":
            labels[1:1] = [
                corrupted(filled, side=side, generator=generator, partner=partner)
                for _ in range(COPIES)
            ]
        copies = len(labels)
        points = torch.cat(labels)
        T = self.judged(teacher, images.repeat(copies, 1, 1, 1), points)
        error = mean_error(
            points, truth.repeat(copies, 1, 1), visible.repeat(copies, 1), side=side
        ).to(T.dtype)
        if self.objective == "lsgan":
            real = torch.cat([T.new_ones(B), T.new_zeros(len(T) - B)])
            # As many of each kind: one label of a person stands for all the students'.
            weight = torch.where(real > 0, float(copies - 1), 1.0)
            found = lsgan_loss(T, real) * weight / (2 * (copies - 1) / copies)
        elif self.objective == "rank":
            found = rank_loss(T, error)
        else:
            found = quality_loss(T, error, tau=self.tau)
        # A picture without a single label says nothing of any label's error.
        known = visible.gt(0).any(1).to(found.dtype).repeat(copies)
        return reduce_loss(found, known, avg_factor=known.sum())
