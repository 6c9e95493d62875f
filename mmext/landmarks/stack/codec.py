"""The registered form of :mod:`mmext.landmarks.heatmaps`: sizes and widths, given once."""

from jaxtyping import Float
from torch import Tensor

from mmext.landmarks.heatmaps import decoded, gaussians
from mmext.registry import TASK_UTILS


@TASK_UTILS.register_module()
class GaussianHeatmapCodec:
    """Points of a crop to maps with a Gaussian each, and back with parts of a cell.

    Args:
        input_size: height and width of the crop, or one number for both.
        stride: pixels of a cell.
        sigma: width of the Gaussian, in pixels of the crop.
        window: cells on each side of the highest one that place a point between cells.

    Raises:
        ValueError: a size that is no multiple of the stride.
    """

    def __init__(
        self,
        input_size: int | tuple[int, int] = 256,
        stride: int = 8,
        sigma: int | float = 4.0,
        window: int = 4,
    ) -> None:
        height, width = (input_size,) * 2 if isinstance(input_size, int) else tuple(input_size)
        if height % stride or width % stride:
            raise ValueError(
                f"GaussianHeatmapCodec: expected an input_size divisible by the stride {stride}, "
                f"got {height} x {width}; give a multiple, the same as size of FaceCrop"
            )
        self.input_size = (height, width)
        self.stride, self.sigma, self.window = stride, sigma, window

    @property
    def cells(self) -> tuple[int, int]:
        """Height and width of a map."""
        return self.input_size[0] // self.stride, self.input_size[1] // self.stride

    def encode(
        self, keypoints: Float[Tensor, "B K 2"], visible: Float[Tensor, "B K"]
    ) -> Float[Tensor, "B K h w"]:
        """The targets of a batch; the maps of invisible points are empty."""
        return gaussians(
            keypoints, visible, cells=self.cells, stride=self.stride, sigma_px=self.sigma
        )

    def decode(
        self, maps: Float[Tensor, "B K h w"]
    ) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """The points in pixels of the crop, and the peak of each map.

        Maps of another size than this codec's are decoded with cells as large as they must be.
        """
        stride = self.input_size[1] / maps.shape[3]
        return decoded(maps, stride=stride, window=self.window)
