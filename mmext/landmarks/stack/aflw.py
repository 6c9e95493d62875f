"""AFLW's 24,386 faces with 19 points, as the file of Zhu et al. (CVPR 2016) divides them."""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from mmext.errors import BadInputError
from mmext.landmarks.stack.datasets import LandmarkFiles, require_file
from mmext.registry import DATASETS

NEEDED = ("nameList", "data", "mask_new", "bbox", "ra")
SPLITS = ("train", "test", "frontal", "all")


@DATASETS.register_module()
class AFLWMatDataset(LandmarkFiles):
    """Faces of ``AFLWinfo_release.mat`` in its own order of chance, with the visibility of points.

    ``norm_len`` is the square root of the area of the face's box.

    Args:
        split: ``train``, the first 20,000 of the file's permutation, ``test``, the others,
            ``frontal``, the test faces all of whose points are visible, or ``all``.
        num_train: how many of the permutation are for training.
        **files_cfg: of :class:`~mmext.landmarks.stack.datasets.LandmarkFiles`; ``ann_file`` is
            the .mat file.

    Raises:
        ValueError: another split.
    """

    METAINFO: ClassVar[dict[str, Any]] = dict(
        keypoint_names=tuple(str(number) for number in range(1, 20)),
        flip_pairs=(
            *((0, 5), (1, 4), (2, 3)),  # brows
            *((6, 11), (7, 10), (8, 9)),  # eyes
            *((12, 14), (15, 17)),  # nose, mouth
        ),
        skeleton=(),
    )

    def __init__(self, split: str = "train", num_train: int = 20000, **files_cfg: Any) -> None:
        if split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}, got {split!r}; give one of these")
        self.split, self.num_train = split, num_train
        super().__init__(**files_cfg)

    def read(self) -> Iterable[dict[str, Any]]:
        """The faces of the split.

        Raises:
            BadInputError: it is another file.
        """
        mat = self._mat()
        order = np.asarray(mat["ra"]).reshape(-1).astype(int) - 1  # MATLAB counts from 1
        order = dict(
            train=order[: self.num_train],
            test=order[self.num_train :],
            frontal=order[self.num_train :],
            all=order,
        )[self.split]
        points = np.asarray(mat["data"], dtype=np.float64)
        points = points.reshape(len(points), 2, -1).transpose(0, 2, 1)  # all x, then all y
        visible = np.asarray(mat["mask_new"]) > 0
        for face in order:
            if self.split == "frontal" and not visible[face].all():
                continue
            left, right, top, bottom = np.asarray(mat["bbox"][face], dtype=np.float64)
            name = str(mat["nameList"][face, 0][0])
            yield {
                "img_path": self.picture(name),
                "key": f"{name}#{face}",
                "keypoints": points[face],
                "keypoints_visible": visible[face],
                "bbox": [left, top, right, bottom],
                "norm_len": float(np.sqrt((right - left) * (bottom - top))),
            }

    def _mat(self) -> dict[str, Any]:
        require_file(self.ann_file)
        try:
            from scipy.io import loadmat
        except ImportError:
            raise BadInputError(
                f"{self.ann_file}: expected SciPy to read a .mat file, got none; pip install scipy"
            ) from None
        try:
            mat: dict[str, Any] = loadmat(self.ann_file)
        except Exception as error:  # whatever SciPy's reader runs into
            raise BadInputError(
                f"{self.ann_file}: expected a MATLAB file, got something else ({error}); fetch "
                "AFLWinfo_release.mat again"
            ) from None
        lacking = [name for name in NEEDED if name not in mat]
        if lacking:
            raise BadInputError(
                f"{self.ann_file}: expected {', '.join(NEEDED)}, got a file without "
                f"{', '.join(lacking)}; take AFLWinfo_release.mat"
            )
        return mat
