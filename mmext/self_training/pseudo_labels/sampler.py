"""Batches with a fixed number of pictures from each source."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmext.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class RatioBatchSampler(Sampler):
    """Indices into a ``ConcatDataset``, so that each batch has its share of every part.

    A batch has the pictures of the first part first. Each part is drawn in an order of its own that
    no other part's size changes, again and again in a new one; all ranks share it, and take turns.

    It goes on for ever, for loops that count iterations, or, with ``by_epoch``, has epochs as long
    as the first part alone would fill with whole batches: schedules by epochs keep their steps.

    Args:
        dataset: mmengine's ``ConcatDataset``, or any with ``cumulative_sizes``.
        batch_size: of one rank: the data loader's.
        ratio: pictures of each part, in proportion.
        by_epoch: whether an epoch ends.
        seed: of all orders; None draws one for all ranks.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        ratio: Sequence[int] = (1, 1),
        by_epoch: bool = False,
        seed: int | None = None,
    ) -> None:
        self.starts, self.sizes = _parts_of(dataset, ratio)
        self.shares = [one * batch_size // sum(ratio) for one in ratio]
        if batch_size < 1 or batch_size % sum(ratio):
            raise ValueError(
                f"batch_size {batch_size}: expected a multiple of {sum(ratio)}, since the ratio is "
                f"{':'.join(map(str, ratio))}, got none; take {_nearest(batch_size, sum(ratio))}"
            )
        self.batch_size, self.by_epoch = batch_size, by_epoch
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

    @property
    def batches(self) -> int:
        """Steps in which the first part alone would be seen once, by all ranks together."""
        return -(-self.sizes[0] // (self.batch_size * self.world_size))

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.batches if self.by_epoch else 0
        streams = [
            self._stream(part, first * share * self.world_size)
            for part, share in enumerate(self.shares)
        ]
        batch = 0
        while not self.by_epoch or batch < self.batches:
            for stream, share in zip(streams, self.shares, strict=True):
                drawn = [next(stream) for _ in range(share * self.world_size)]
                yield from drawn[self.rank :: self.world_size]
            batch += 1

    def _stream(self, part: int, skip: int) -> Iterator[int]:
        """A part's indices, permutation by permutation, from a place on."""
        size, start = self.sizes[part], self.starts[part]
        passes, skip = divmod(skip, size)
        while True:
            order = np.random.default_rng([self.seed, part, passes]).permutation(size)
            yield from (start + order[skip:]).tolist()
            passes, skip = passes + 1, 0

    def set_epoch(self, epoch: int) -> None:
        """Where the next iteration starts; without ``by_epoch`` there are no epochs."""
        self.epoch = epoch


def _parts_of(dataset: Any, ratio: Sequence[int]) -> tuple[list[int], list[int]]:
    """First index and size of each part.

    Raises:
        ValueError: there are other parts than the ratio says, or one that is empty.
    """
    ends = list(getattr(dataset, "cumulative_sizes", []))
    if len(ends) != len(ratio):
        raise ValueError(
            f"ratio {tuple(ratio)}: expected one number for each part of a ConcatDataset, got "
            f"{len(ends) or 'no'} parts of a {type(dataset).__name__}; list the labelled and the "
            "pseudo-labelled data set in one ConcatDataset"
        )
    if any(one < 1 for one in ratio):
        raise ValueError(
            f"ratio {tuple(ratio)}: expected whole numbers of 1 or more; leave the data set out "
            "that gets none"
        )
    starts = [0, *ends[:-1]]
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    if 0 in sizes:
        raise ValueError(
            f"expected pictures in every part of the ConcatDataset, got none in part "
            f"{sizes.index(0) + 1} of {len(sizes)}; look at its files, or at filter_cfg, which "
            "drops pictures without boxes"
        )
    return starts, sizes


def _nearest(batch_size: int, step: int) -> str:
    """The multiples of a step below and above a batch size, in words."""
    below = batch_size // step * step
    return f"{below} or {below + step}" if below > 0 else f"{step}"
