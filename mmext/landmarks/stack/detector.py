"""One net, trained on maps and read as points, in mmengine's three modes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from mmengine.model import BaseModel, ImgDataPreprocessor
from torch import Tensor

from mmext.functional import at_least_float32, reduce_loss
from mmext.landmarks.geometry import moved_back
from mmext.landmarks.heatmaps import heatmap_loss
from mmext.landmarks.samples import LandmarkSample, matrices, stacked
from mmext.registry import MODELS, TASK_UTILS

Maps = Float[Tensor, "B K h w"]


@MODELS.register_module()
class LandmarkDataPreprocessor(ImgDataPreprocessor):
    """mmengine's, with the mean and deviation of ImageNet's pictures, and blue last.

    Args:
        mean, std: of each channel, red first.
        bgr_to_rgb: whether pictures come with blue first, as OpenCV reads them.
        **base_cfg: mmengine's.
    """

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        bgr_to_rgb: bool = True,
        **base_cfg: Any,
    ) -> None:
        super().__init__(mean=mean, std=std, bgr_to_rgb=bgr_to_rgb, **base_cfg)


@MODELS.register_module()
class LandmarkDetector(BaseModel):
    """A net that draws maps, the codec between maps and points, and the loss of all its stages.

    Args:
        net: config of a module with ``stride`` that gives a list of maps.
        codec: config of the codec, whose stride must be the net's.
        loss: ``sum`` over cells and visible points, divided by the pictures, as pose machines are
            trained; or ``mean`` over cells, as hourglasses are.
        flip_test: whether to average the maps of a picture and of its mirror image.
        data_preprocessor: config; mmext.LandmarkDataPreprocessor if it names no type.
        init_cfg: mmengine's.

    Raises:
        ValueError: another loss, or two strides.
    """

    def __init__(
        self,
        net: Mapping[str, Any] = dict(type="mmext.VGGCPM", num_keypoints=68),
        codec: Mapping[str, Any] = dict(type="mmext.GaussianHeatmapCodec"),
        loss: str = "sum",
        flip_test: bool = False,
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Any | None = None,
    ) -> None:
        preprocessor = {"type": "mmext.LandmarkDataPreprocessor", **(data_preprocessor or {})}
        super().__init__(MODELS.build(preprocessor), init_cfg)
        if loss not in ("sum", "mean"):
            raise ValueError(f"loss must be 'sum' or 'mean', got {loss!r}; give one of these")
        self.net = MODELS.build(dict(net))
        self.codec = TASK_UTILS.build(dict(codec))
        if self.net.stride != self.codec.stride:
            raise ValueError(
                f"expected a codec with the stride of {type(self.net).__name__}, "
                f"{self.net.stride}, got {self.codec.stride}; set codec.stride={self.net.stride}"
            )
        self.average, self.flip_test = loss == "mean", flip_test

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any] | None = None,
        mode: str = "tensor",
    ) -> Any:
        """Maps, losses or samples with predictions.

        Args:
            inputs: pictures as the preprocessor makes them.
            data_samples: one a picture; needed for losses and predictions.
            mode: ``tensor``, ``loss`` or ``predict``.

        Raises:
            ValueError: another mode.
        """
        if mode == "tensor":
            return self.maps(inputs)
        if mode == "loss":
            return self.loss(inputs, data_samples or ())
        if mode == "predict":
            maps = self.maps(inputs)
            if self.flip_test:
                maps = self.with_mirrored(inputs, maps, data_samples or ())
            return self.postprocess(maps, data_samples or ())
        raise ValueError(f"mode must be tensor, loss or predict, got {mode!r}; give one of these")

    def maps(self, inputs: Tensor) -> list[Maps]:
        """The maps of each stage; the last one counts.

        Raises:
            ValueError: pictures of another size than the codec's.
        """
        if tuple(inputs.shape[2:]) != self.codec.input_size:
            height, width = inputs.shape[2:]
            raise ValueError(
                f"expected pictures of the codec's input_size {self.codec.input_size}, got "
                f"{height} x {width}; set size of FaceCrop and codec.input_size to the same"
            )
        return self.net(inputs)

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """The loss of each stage: mean over pictures of what its points with a weight lose."""
        points, weights = stacked(data_samples, inputs.device)
        return self.losses_of(self.maps(inputs), points, weights)

    def losses_of(
        self, maps: list[Maps], points: Float[Tensor, "B P 2"], weights: Float[Tensor, "B P"]
    ) -> dict[str, Tensor]:
        """The loss of each stage, of maps that are there already."""
        if points.shape[1] != maps[-1].shape[1]:
            raise ValueError(
                f"expected samples with the {maps[-1].shape[1]} points of the net, got "
                f"{points.shape[1]}; set num_keypoints of the net to {points.shape[1]}"
            )
        exact = at_least_float32(maps[-1]).dtype
        points, weights = points.to(exact), weights.to(exact)
        target = self.codec.encode(points, weights)
        return {
            f"loss_stage{number}": reduce_loss(
                heatmap_loss(one, target, weights, average=self.average)
            )
            for number, one in enumerate(maps, start=1)
        }

    def with_mirrored(
        self, inputs: Tensor, maps: list[Maps], data_samples: Sequence[Any]
    ) -> list[Maps]:
        """The mean of the last maps and those of the mirrored pictures, mirrored back.

        Raises:
            ValueError: the data set declares no pairs.
        """
        pairs = data_samples[0].get("flip_pairs") if data_samples else None
        if pairs is None:
            raise ValueError(
                "flip_test: expected samples that say which points change places in a mirror, got "
                "none; set metainfo=dict(flip_pairs=...) of the data set, or flip_test=False"
            )
        order = list(range(maps[-1].shape[1]))
        for left, right in pairs:
            order[left], order[right] = right, left
        mirrored = self.maps(inputs.flip(-1))[-1].flip(-1)
        # one index a point, made from Python numbers: no wait for a device
        mirrored = torch.stack([mirrored[:, number] for number in order], 1)
        return [(maps[-1] + mirrored) / 2]

    def postprocess(self, maps: list[Maps], data_samples: Sequence[Any]) -> list[Any]:
        """The samples with ``pred_keypoints`` in pixels of their pictures, and ``pred_scores``.

        Samples without ``crop_matrix`` get pixels of the crop.
        """
        points, scores = self.codec.decode(maps[-1])
        samples = list(data_samples) or [LandmarkSample() for _ in points]
        if all("crop_matrix" in sample for sample in samples):
            points = moved_back(points, matrices(samples, points.device).to(points.dtype))
        for sample, point, score in zip(samples, points, scores, strict=True):
            sample.pred_keypoints, sample.pred_scores = point, score
        return samples
