"""Where the samples of a region's bins lie, for RoIAlign with bins that stand still or move.

Paper     Mask R-CNN, He et al. 2017, https://arxiv.org/abs/1703.06870;
          Deformable Convolutional Networks, Dai et al. 2017, https://arxiv.org/abs/1703.06211
Idea      A region is divided into bins, with a grid of positions in each.
Host      none
Deviates  none known
Letters   K regions, P x Q bins
"""

import torch
from jaxtyping import Float
from torch import Tensor

ENTRIES = 2**22  # places and weights that are held at once: about 50 MB


class Bins:
    """Where the samples of regions lie: everything but the map.

    Args:
        rois: image, left, top, right, bottom; in pixels of the image.
        size: P and Q.
        spatial_scale: pixels of the map a pixel of the image.
        sampling_ratio: samples along each axis of a bin; 0 takes one a pixel.
        aligned: whether the middle of the first pixel is at half a pixel (else regions are at least
            a pixel wide).
        shift: of each bin, x then y, as a part of the region's size.
    """

    def __init__(
        self,
        rois: Float[Tensor, "K 5"],
        size: tuple[int, int],
        spatial_scale: float,
        sampling_ratio: int,
        *,
        aligned: bool,
        shift: Float[Tensor, "K 2 P Q"] | None = None,
    ) -> None:
        half = 0.5 if aligned else 0.0
        self.image = rois[:, 0].long()
        self.start = rois[:, 1:3].flip(1) * spatial_scale - half  # (K, 2): y, x
        end = rois[:, 3:5].flip(1) * spatial_scale - half
        self.extent = end - self.start if aligned else (end - self.start).clamp(min=1)
        self.size, self.shift = size, shift
        self.bin = self.extent / self.extent.new_tensor(size)
        self.samples = (
            torch.full_like(self.bin, sampling_ratio)
            if sampling_ratio > 0
            else self.bin.ceil().clamp(min=0)
        )

    def chunks(self, sampling_ratio: int) -> list[tuple[Tensor | slice, tuple[int, int]]]:
        """Regions that are pooled at once, and the most samples that one of them has along y and x.

        With a fixed number of samples nothing is asked of the device. Else their numbers are, once
        a call, and regions with similar numbers go together.
        """
        bins = self.size[0] * self.size[1]
        if sampling_ratio > 0:
            step = max(1, ENTRIES // (bins * 4 * sampling_ratio**2))
            most = (sampling_ratio, sampling_ratio)
            return [(slice(i, i + step), most) for i in range(0, len(self.bin), step)]
        order = self.samples.prod(dim=1).argsort()
        numbers = self.samples[order].long().tolist()
        found: list[tuple[Tensor | slice, tuple[int, int]]] = []
        first, high, wide = 0, 0, 0
        for last, (y, x) in enumerate(numbers):
            taller, wider = max(high, y), max(wide, x)
            if last > first and (last - first + 1) * bins * 4 * taller * wider > ENTRIES:
                found.append((order[first:last], (high, wide)))
                first, taller, wider = last, y, x
            high, wide = taller, wider
        if numbers:
            found.append((order[first:], (high, wide)))
        return found

    def positions(self, which: Tensor | slice, axis: int, sample: Tensor) -> Tensor:
        """Where samples lie along one axis, in pixels of the map: (K, P, Q, ...), or 1 for P or Q.

        Args:
            which: regions.
            axis: 0 for y, 1 for x.
            sample: its number within its bin; broadcasts against the result.
        """
        start, size, number, extent = (
            one[which][:, axis, None, None, None]
            for one in (self.start, self.bin, self.samples, self.extent)
        )
        bins = torch.arange(self.size[axis], device=start.device, dtype=start.dtype)
        bins = bins[:, None, None] if axis == 0 else bins[:, None]
        if self.shift is not None:  # x comes first in the shift
            start = start + extent * self.shift[which][:, 1 - axis, :, :, None]
        return start + bins * size + (sample + 0.5) * size / number.clamp(min=1)

    def all_positions(self, which: Tensor | slice, axis: int, most: int) -> tuple[Tensor, Tensor]:
        """Positions of ``most`` samples of each bin along one axis, and which of them there are."""
        sample = torch.arange(most, device=self.bin.device, dtype=self.bin.dtype)
        there = sample < self.samples[which][:, axis, None, None, None]
        return self.positions(which, axis, sample), there
