"""Points in .pts files beside their pictures, as 300-W and its parts have them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from mmext.errors import BadInputError
from mmext.landmarks.stack.datasets import LandmarkFiles
from mmext.registry import DATASETS

PICTURES = (".jpg", ".png", ".jpeg", ".bmp")
MIRRORED_68 = (
    *((left, 16 - left) for left in range(8)),  # jaw
    *((17 + one, 26 - one) for one in range(5)),  # brows
    *((31, 35), (32, 34)),  # nose
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),  # eyes
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),  # mouth
)
"""Points of 300-W that change places in a mirror, counted from 0."""


def read_pts(file: str | Path, expected: int | None = None) -> Float[np.ndarray, "K 2"]:
    """The points of a .pts file, in pixels from 0: the format counts from 1.

    Args:
        file: its path.
        expected: how many there must be.

    Raises:
        BadInputError: it is no such file, or has another number of points than it says or should.
    """
    text = Path(file).read_text(encoding="utf-8", errors="replace")
    said = re.search(r"n_points:\s*(\d+)", text)
    body = re.search(r"\{(.*)\}", text, re.S)
    if said is None or body is None:
        raise BadInputError(
            f"{file}: expected a .pts file with n_points and points in braces, got something else; "
            "fetch it again"
        )
    rows = [line.split() for line in body[1].splitlines() if line.strip()]
    if len(rows) != int(said[1]) or (expected is not None and len(rows) != expected):
        raise BadInputError(
            f"{file}: expected {expected or said[1]} points, got {len(rows)} below n_points: "
            f"{said[1]}; correct the file, or keypoint_names of the data set"
        )
    try:
        points = np.array([[float(x), float(y)] for x, y in rows]).reshape(-1, 2)
    except ValueError as error:
        raise BadInputError(
            f"{file}: expected two numbers a line, got something else ({error}); correct the file"
        ) from None
    return points - 1


@DATASETS.register_module()
class PTSLandmarkDataset(LandmarkFiles):
    """Pictures with a .pts file of the same name beside each, in the order of their paths.

    The box of a face is that of its points: 300-W gives no other. Names and pairs are those of
    300-W's 68 points unless ``metainfo`` gives others.

    Args:
        folders: folders of each subset below ``data_root``, such as ``dict(common=["lfpw/testset",
            "helen/testset"], challenging=["ibug"])``; None takes ``data_prefix`` alone.
        **files_cfg: of :class:`~mmext.landmarks.stack.datasets.LandmarkFiles`.
    """

    METAINFO: ClassVar[dict[str, Any]] = dict(
        keypoint_names=tuple(str(number) for number in range(1, 69)),
        flip_pairs=MIRRORED_68,
        skeleton=(),
    )

    def __init__(
        self, folders: Mapping[str, Sequence[str]] | None = None, **files_cfg: Any
    ) -> None:
        self.folders = folders or {"": [""]}
        super().__init__(**files_cfg)

    def read(self) -> Iterable[dict[str, Any]]:
        """Each picture with its points.

        Raises:
            BadInputError: a folder is missing or has no .pts file, or a picture is missing.
        """
        root = Path(self.data_prefix["img_path"] or ".")
        for subset, names in self.folders.items():
            for name in names:
                found = sorted(Path(root, name).glob("*.pts"))
                if not found:
                    raise BadInputError(
                        f"{Path(root, name)}: expected a folder with .pts files, got none; fetch "
                        "300-W there, or correct data_root and folders"
                    )
                for file in found:
                    yield self._sample(file, root, subset)

    def _sample(self, file: Path, root: Path, subset: str) -> dict[str, Any]:
        picture = next((p for end in PICTURES if (p := file.with_suffix(end)).is_file()), None)
        if picture is None:
            raise BadInputError(
                f"{file}: expected a picture of the same name beside it, got none that ends in "
                f"{', '.join(PICTURES)}; fetch it, or take the .pts file away"
            )
        points = read_pts(file, len(self._metainfo["keypoint_names"]) or None)
        return {
            "img_path": str(picture),
            "key": picture.relative_to(root).as_posix(),
            "subset": subset,
            "keypoints": points,
            # DEVIATION: pixels' edges lie half a pixel beside their centres; the authors' do not.
            "bbox": [*(points.min(0)), *(points.max(0) + 1)],
        }
