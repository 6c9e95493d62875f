"""Architectures of FBNetV3 as tables of blocks, and what follows from them without a network.

Row      ``2x k5 e4 24 /2 se p1``: two blocks of kernel 5, expansion 4 and 24 channels; the first
         has stride 2; squeeze-and-excitation; official padding 1 where kernel // 2 would be 2
Stage    0 is the stem and the blocks at stride 2; 1 to 4 are those at strides 4, 8, 16 and 32
Source   the released definitions, of which these rows are a notation
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mmext.classification.fbnetv3.numbers import rows_of_stage
from mmext.errors import did_you_mean

ROW = re.compile(r"(\d+)x k(\d+) e(\d+) (\d+)( /2)?( se)?(?: p(\d+))?")
FEATURES = 1984
"""Channels before the classifier, of all architectures."""
PADDINGS = ("same", "official")


def divisible_by_8(channels: int) -> int:
    """The nearest multiple of 8, at least 8, and not below 0.95 of what is asked for.

    Example:
        >>> [divisible_by_8(c) for c in (3, 16, 17, 44, 75)]
        [8, 16, 24, 48, 72]
    """
    if channels % 8 == 0:
        return channels
    near = max(8, (channels + 4) // 8 * 8)
    return near + 8 if near < 0.95 * channels else near


@dataclass(frozen=True)
class Block:
    """One inverted residual block.

    Args:
        in_channels, out_channels: of its maps.
        kernel: of the depthwise convolution.
        expansion: inner channels for each one of the input.
        stride: of the depthwise convolution.
        has_se: whether it has squeeze-and-excitation.
        official_padding: of the depthwise convolution in the released networks.
    """

    in_channels: int
    out_channels: int
    kernel: int
    expansion: int
    stride: int
    has_se: bool
    official_padding: int

    @property
    def inner_channels(self) -> int:
        """M, channels of the depthwise convolution."""
        return divisible_by_8(self.in_channels * self.expansion)

    @property
    def squeezed_channels(self) -> int:
        """Q, a quarter of the width before the expansion."""
        return divisible_by_8(int(self.inner_channels * (0.25 / self.expansion)))

    @property
    def is_residual(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.in_channels == self.out_channels

    def padding(self, kind: str) -> int:
        """Padding of the depthwise convolution, ``same`` or ``official``."""
        return self.official_padding if kind == "official" else self.kernel // 2


@dataclass(frozen=True)
class Arch:
    """One architecture.

    Args:
        stem: channels of the first convolution.
        stages: rows of the five stages.
        head_expansion: channels of the head's first convolution for each one of the last map.
        size: side of the square images that it was made for, in pixels.
        resized: side to which the shorter side of a test image is resized before that crop, in
            pixels.
    """

    stem: int
    stages: tuple[tuple[str, ...], ...]
    head_expansion: int = 6
    size: int = 224
    resized: int = 256

    def __post_init__(self) -> None:
        strides = [[block.stride for block in blocks] for blocks in self.blocks]
        if len(strides) != 5 or [one.count(2) for one in strides] != [0, 1, 1, 1, 1]:
            raise ValueError(
                "stages of an FBNetV3 must be five, the first without a row with '/2' and each "
                f"other one with one, got {len(strides)} with "
                f"{[one.count(2) for one in strides]} of them"
            )

    @cached_property
    def blocks(self) -> tuple[tuple[Block, ...], ...]:
        """The blocks of each stage."""
        found, channels = [], self.stem
        for rows in self.stages:
            stage: list[Block] = []
            for block in (one for row in rows for one in parse_row(row)):
                stage.append(replace(block, in_channels=channels))
                channels = block.out_channels
            found.append(tuple(stage))
        return tuple(found)

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of each stage's map."""
        return tuple(stage[-1].out_channels for stage in self.blocks)

    @property
    def head_channels(self) -> int:
        """Channels of the head's first convolution."""
        return divisible_by_8(self.out_channels[-1] * self.head_expansion)

    def sides(self, side: int, padding: str = "same") -> tuple[int, ...]:
        """Side of each stage's map for images of a side; less than 1 where the image is too small.

        Example:
            >>> ARCHS["a"].sides(224, "same"), ARCHS["a"].sides(224, "official")
            ((112, 56, 28, 14, 7), (112, 56, 28, 13, 6))
        """
        found = []
        side = (side - 1) // 2 + 1  # the stem: kernel 3, padding 1, stride 2
        for stage in self.blocks:
            for block in stage:
                side = (side + 2 * block.padding(padding) - block.kernel) // block.stride + 1
            found.append(side)
        return tuple(found)

    def smallest_side(self, padding: str = "same", stages: int = 5) -> int:
        """Side of the smallest image of which no map of the first stages is empty.

        Example:
            >>> ARCHS["a"].smallest_side("official"), ARCHS["a"].smallest_side("same")
            (49, 1)
        """
        sides = range(1, 1024)
        return next(one for one in sides if min(self.sides(one, padding)[:stages]) > 0)


def parse_row(row: str) -> Iterator[Block]:
    """The blocks of a row; only the first has its stride, and all its channels as input.

    Raises:
        ValueError: it is not written as this module's first lines say.
    """
    found = ROW.fullmatch(row)
    if found is None or not int(found[1]):
        raise ValueError(f"a row of blocks must be like '2x k5 e4 24 /2 se p1', got {row!r}")
    repeats, kernel, expansion, channels = (int(found[i]) for i in (1, 2, 3, 4))
    for i in range(repeats):
        first = i == 0
        yield Block(
            in_channels=channels,
            out_channels=channels,
            kernel=kernel,
            expansion=expansion,
            stride=2 if first and found[5] else 1,
            has_se=found[6] is not None,
            official_padding=int(found[7]) if first and found[7] else kernel // 2,
        )


_A_STAGES = (
    ("2x k3 e1 16",),
    ("1x k5 e4 24 /2", "3x k5 e2 24"),
    ("1x k5 e5 40 /2 se", "4x k5 e3 40 se"),
    ("1x k5 e5 72 /2 p1", "4x k3 e3 72", "1x k3 e5 120 se", "5x k5 e3 120 se"),
    ("1x k3 e6 184 /2 se p0", "5x k5 e4 184 se", "1x k5 e6 224 se"),
)
ARCHS: Mapping[str, Arch] = {
    "a0": Arch(
        12,
        (
            ("1x k3 e1 12",),
            ("1x k3 e4 24 /2", "2x k3 e2 24"),
            ("1x k3 e4 40 /2 se", "2x k3 e2 40 se"),
            ("1x k5 e4 72 /2", "2x k3 e3 72", "1x k3 e4 104 se", "3x k5 e3 104 se"),
            ("1x k3 e4 176 /2 se", "3x k3 e4 176 se", "1x k3 e5 208 se"),
        ),
        head_expansion=5,
    ),
    "a": Arch(16, _A_STAGES, size=224, resized=242),
    "b": Arch(16, _A_STAGES, size=248, resized=266),
    "c": Arch(
        16,
        (
            ("2x k3 e1 16",),
            ("1x k5 e5 24 /2", "4x k3 e3 24"),
            ("1x k5 e5 48 /2 se", "4x k5 e2 48 se"),
            ("1x k5 e4 88 /2 p1", "4x k3 e3 88", "1x k3 e4 120 se", "5x k5 e3 120 se"),
            ("1x k5 e5 216 /2 se p1", "5x k5 e5 216 se", "1x k5 e6 216 se"),
        ),
        size=248,
        resized=272,
    ),
    "d": Arch(
        24,
        (
            ("2x k3 e1 16",),
            ("1x k3 e5 24 /2", "5x k3 e2 24"),
            ("1x k5 e4 40 /2 se", "4x k3 e3 40 se"),
            ("1x k3 e5 72 /2", "4x k3 e3 72", "1x k3 e5 128 se", "6x k5 e3 128 se"),
            ("1x k3 e6 208 /2 se", "5x k5 e5 208 se", "1x k5 e6 240 se"),
        ),
        size=248,
        resized=277,
    ),
    "e": Arch(
        24,
        (
            ("3x k3 e1 16",),
            ("1x k5 e4 24 /2", "4x k5 e2 24"),
            ("1x k5 e4 48 /2 se", "4x k5 e3 48 se"),
            ("1x k5 e5 80 /2 p1", "4x k3 e3 80", "1x k3 e5 128 se", "7x k5 e3 128 se"),
            ("1x k3 e6 216 /2 se", "5x k5 e5 216 se", "1x k5 e6 240 se"),
        ),
        size=264,
        resized=291,
    ),
    "f": Arch(
        24,
        (
            ("3x k3 e1 24",),
            ("1x k5 e4 32 /2", "4x k5 e2 32"),
            ("1x k5 e4 56 /2 se", "4x k5 e3 56 se"),
            ("1x k5 e5 88 /2", "4x k3 e3 88", "1x k3 e5 144 se", "8x k5 e3 144 se"),
            ("1x k3 e6 248 /2 se p0", "6x k5 e5 248 se", "1x k5 e6 272 se"),
        ),
        size=272,
        resized=296,
    ),
    "g": Arch(
        32,
        (
            ("3x k3 e1 24",),
            ("1x k5 e4 40 /2", "4x k5 e2 40"),
            ("1x k5 e4 56 /2 se", "4x k5 e3 56 se"),
            ("1x k5 e5 104 /2", "4x k3 e3 104", "1x k3 e5 160 se", "8x k5 e3 160 se"),
            ("1x k3 e6 264 /2 se", "6x k5 e5 264 se", "2x k5 e6 288 se"),
        ),
        size=320,
        resized=325,
    ),
}


def architecture(arch: str | Mapping[str, Any]) -> Arch:
    """An architecture by its name in any case, or one of a user's own from a dict.

    Args:
        arch: a name, or ``dict(stem=16, stages=[["2x k3 e1 16"], ...], head_expansion=6)``;
            numbers.py says how rows are given by numbers.

    Raises:
        ValueError: there is none of that name, or the dict describes none.
    """
    if isinstance(arch, str):
        if arch.lower() not in ARCHS:
            raise ValueError(
                f"arch of FBNetV3 must be one of {', '.join(ARCHS)} or a dict, got {arch!r}"
                f"{did_you_mean(arch.lower(), ARCHS)}"
            )
        return ARCHS[arch.lower()]
    known = {"stem", "stages", "head_expansion"}
    if not {"stem", "stages"} <= set(arch) <= known or not _are_rows(arch["stages"]):
        raise ValueError(
            "arch of FBNetV3 must be a name or dict(stem=16, stages=[['2x k3 e1 16'], ...], "
            f"head_expansion=6), got the keys {sorted(arch)}; stages are five lists of rows"
        )
    return Arch(
        int(arch["stem"]),
        tuple(rows_of_stage(rows) for rows in arch["stages"]),
        head_expansion=int(arch.get("head_expansion", 6)),
    )


def _are_rows(stages: Any) -> bool:
    return isinstance(stages, Sequence) and all(
        isinstance(rows, Sequence) and not isinstance(rows, str) for rows in stages
    )
