"""The ladder of augmentations S1 to S4, as lists for a config's pipeline.

S1  flip, and a crop out of the picture at 0.8 to 1.2 times the target's size
S2  S1 after the AutoAugment policy for detection "v0" (Zoph et al. 2019, arXiv 1906.11172)
S3  S2 with 0.5 to 2.0 times
S4  one operation of RandAugment at magnitude 10 instead of the policy, with 0.5 to 2.0 times

A policy comes first, on the picture as it was read, since its magnitudes are pixels of COCO's
pictures (640 x 480). The arguments are those of tensorflow/tpu, autoaugment_utils.py; RandAugment's
list of operations, one a picture, is that of google/automl, efficientdet/aug/autoaugment.py, in
which the same authors train detectors.
"""

from collections.abc import Sequence
from typing import Any

Transform = dict[str, Any]

POLICY_V0 = (
    (("TranslateX_BBox", 0.6, 4), ("Equalize", 0.8, 10)),
    (("TranslateY_Only_BBoxes", 0.2, 2), ("Cutout", 0.8, 8)),
    (("Sharpness", 0.0, 8), ("ShearX_BBox", 0.4, 0)),  # the identity
    (("ShearY_BBox", 1.0, 2), ("TranslateY_Only_BBoxes", 0.6, 6)),
    (("Rotate_BBox", 0.6, 10), ("Color", 1.0, 6)),
)
"""Five pairs of an operation, its probability and its magnitude of 10; one pair a picture."""
RANDAUGMENT = (
    *("Equalize", "Solarize", "Color", "Cutout", "SolarizeAdd"),
    *("TranslateX_BBox", "TranslateY_BBox", "ShearX_BBox", "ShearY_BBox", "Rotate_BBox"),
)
BOXES_ONLY = ("TranslateY_Only_BBoxes", "Cutout")
"""Left out for segmentation, whose maps name every pixel."""
JITTER = {1: (0.8, 1.2), 2: (0.8, 1.2), 3: (0.5, 2.0), 4: (0.5, 2.0)}
MEAN = (104, 116, 124)
"""ImageNet's mean colour, BGR: what is padded with it is 0 after normalisation."""


def argument(name: str, magnitude: int) -> float:
    """What an operation's magnitude of 10 stands for, before its sign is drawn.

    Degrees for rotations, pixels for translations and cutouts, factors, grey levels or bits.

    Raises:
        ValueError: no such operation.
    """
    share = magnitude / 10
    kind = name.removesuffix("_BBox")
    if kind.endswith("_Only_BBoxes") and kind.startswith("Translate"):
        return share * 120
    arguments: dict[str, float] = {
        "Rotate": share * 30,
        **dict.fromkeys(("ShearX", "ShearY"), share * 0.3),
        **dict.fromkeys(("TranslateX", "TranslateY"), share * 250),
        **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), share * 1.8 + 0.1),
        "Cutout": int(share * 100),
        "Solarize": int(share * 256),
        "SolarizeAdd": int(share * 110),
        "Posterize": int(share * 4),
    }
    if kind not in arguments:
        raise ValueError(f"expected one of {', '.join(arguments)}, got {name!r}")
    return float(arguments[kind])


def operation(name: str, prob: float, magnitude: int, pixel_scale: float = 1.0) -> Transform:
    """The transform of one operation of a policy.

    Args:
        name: as the policy spells it, such as ``TranslateX_BBox``.
        prob: how often.
        magnitude: of 10.
        pixel_scale: times the policy's pixels.
    """
    if name == "Equalize":
        return dict(type="mmdet.Equalize", prob=prob)
    value = round(argument(name, magnitude), 6)  # 1.18, not 1.1800000000000002
    axis = "x" if name[:-5].endswith("X") else "y"
    if name.endswith("_Only_BBoxes"):
        axis = name.removesuffix("_Only_BBoxes")[-1].lower()
        pixels = value * pixel_scale
        return dict(type="mmext.TranslateOnlyBoxes", prob=prob, pixels=pixels, axis=axis)
    if name.startswith("Translate"):
        pixels = value * pixel_scale
        return dict(type="mmext.TranslatePixels", prob=prob, pixels=pixels, axis=axis)
    if name.startswith("Shear"):
        return dict(type="mmext.ShearFactor", prob=prob, factor=value, axis=axis)
    if name == "Cutout":
        return dict(type="mmext.CutoutPixels", prob=prob, half_width=int(value * pixel_scale))
    if name == "Color":
        return dict(type="mmext.ColorFactor", prob=prob, factor=value)
    # mmdet rounds to a tenth: exact for whole numbers, and for factors at magnitude 10.
    kind = name.removesuffix("_BBox")
    return dict(type=f"mmdet.{kind}", prob=prob, level=10, min_mag=0.0, max_mag=value)


def policy_v0(*, pixel_scale: float = 1.0, leave_out: Sequence[str] = ()) -> list[list[Transform]]:
    """The five pairs of policy v0 as transforms; what is left out leaves its pair shorter."""
    return [
        [operation(*one, pixel_scale) for one in pair if one[0] not in leave_out]
        for pair in POLICY_V0
    ]


def randaugment(
    magnitude: int = 10, *, pixel_scale: float = 1.0, leave_out: Sequence[str] = ()
) -> list[list[Transform]]:
    """Each operation of RandAugment, with certainty, at a fixed magnitude.

    At 10 the threshold of Solarize is 256, so it does nothing; so it does in the authors' code.
    """
    return [
        [operation(name, 1.0, magnitude, pixel_scale)]
        for name in RANDAUGMENT
        if name not in leave_out
    ]


def augmentation(
    stage: int,
    task: str,
    size: int | tuple[int, int],
    *,
    pixel_scale: float = 1.0,
    flip: bool = True,
) -> list[Transform]:
    """A stage of the ladder, for a pipeline between loading and packing.

    Segmentation takes the same stages without what concerns boxes and without Cutout, whose square
    would keep its labels.

    Args:
        stage: 1 to 4.
        task: "detection" (mmdet; boxes, and masks as bitmaps) or "segmentation" (mmseg).
        size: height and width of the result, or one number for both.
        pixel_scale: times the policy's pixels, for pictures of another size than 640 x 480: 0.5 for
            320 x 320.
        flip: whether half of the pictures are mirrored; not where that changes a class (digits).

    Returns:
        Configs of transforms. The picture has exactly ``size`` after them.

    Raises:
        ValueError: no such stage or task.

    Example:
        >>> [step["type"] for step in augmentation(1, "segmentation", 512)]
        ['RandomFlip', 'RandomResize', 'mmseg.RandomCrop', 'Pad']
    """
    if stage not in JITTER:
        raise ValueError(f"expected a stage from 1 to 4, got {stage!r}")
    if task not in ("detection", "segmentation"):
        raise ValueError(f'expected the task "detection" or "segmentation", got {task!r}')
    leave_out = BOXES_ONLY if task == "segmentation" else ()
    policies = {
        2: policy_v0(pixel_scale=pixel_scale, leave_out=leave_out),
        4: randaugment(pixel_scale=pixel_scale, leave_out=leave_out),
    }
    policies[3] = policies[2]
    choice = [dict(type="RandomChoice", transforms=policies[stage])] if stage > 1 else []
    in_host = frame_detection if task == "detection" else frame_segmentation
    height, width = (size, size) if isinstance(size, int) else size
    mirror, *frame = in_host(height, width, JITTER[stage])
    return [*choice, *([mirror] if flip else []), *frame]


def frame_detection(height: int, width: int, jitter: tuple[float, float]) -> list[Transform]:
    """Flip, scale, crop and pad in mmdet; boxes without area go, pictures without boxes stay."""
    # DEVIATION: where all of a box has left the picture, the authors' code puts a box of a
    # twentieth of the picture's side on its border (_check_bbox_area); here it goes.
    return [
        dict(type="mmdet.RandomFlip", prob=0.5),
        dict(
            type="RandomResize",
            scale=(width, height),
            ratio_range=jitter,
            keep_ratio=True,
            resize_type="mmdet.Resize",
        ),
        dict(type="mmdet.RandomCrop", crop_size=(width, height), allow_negative_crop=True),
        dict(type="mmdet.FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
        dict(type="mmdet.Pad", size=(width, height), pad_val=dict(img=MEAN, masks=0, seg=255)),
    ]


def frame_segmentation(height: int, width: int, jitter: tuple[float, float]) -> list[Transform]:
    """Flip, scale, crop and pad in mmseg; padding is of no class."""
    return [
        dict(type="RandomFlip", prob=0.5),
        dict(
            type="RandomResize",
            scale=(width, height),
            ratio_range=jitter,
            keep_ratio=True,
            resize_type="mmseg.Resize",
        ),
        dict(type="mmseg.RandomCrop", crop_size=(height, width)),
        dict(type="Pad", size=(width, height), pad_val=dict(img=MEAN, seg=255)),
    ]
