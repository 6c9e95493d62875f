"""Calls of mmcv's operators, on random inputs and in corners, to be made with several sources."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mmcv.ops as ops
import torch
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """One call: ``run`` takes tensors and returns tensors; those in ``wants`` get gradients."""

    name: str
    make: Callable[[], dict[str, Tensor]]
    run: Callable[..., Any]
    wants: tuple[str, ...] = ()
    # mmcv has no kernel for CPUs, so parity needs a GPU; the oracles do not
    cuda_only: bool = False


def boxes(number: int, size: float = 100, seed: int = 0) -> Tensor:
    """Random boxes, some of them much alike."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(number, 2, generator=generator) * size
    return torch.cat([first, first + torch.rand(number, 2, generator=generator) * size / 3], dim=1)


def scores(number: int, levels: int = 0) -> Tensor:
    """Random scores; with ``levels`` many are equal."""
    found = torch.rand(number, generator=torch.Generator().manual_seed(1))
    return found if not levels else (found * levels).round() / levels


def rois(number: int, images: int, size: float = 60) -> Tensor:
    """Random regions of several images; the first lie outside, across the edge, and at a point."""
    found = boxes(number, size, seed=2)
    odd = torch.tensor(
        [[-90.0, -90, -70, -80], [-5, -5, 500, 300], [7, 9, 7, 9], [3.5, 2.5, 3.5, 30]]
    )
    found[: min(4, number)] = odd[:number]
    image = torch.arange(number, dtype=torch.float) % images
    return torch.cat([image[:, None], found], dim=1)


def picture(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def nms_cases() -> Iterator[Case]:
    for number, levels, offset, threshold in (
        (0, 0, 0, 0.5), (1, 0, 0, 0.5), (300, 0, 0, 0.3), (300, 0, 1, 0.5), (300, 5, 0, 0.5),
        (1100, 0, 0, 0.7),
    ):  # fmt: skip
        make = lambda n=number, k=levels: dict(boxes=boxes(n), scores=scores(n, k))  # noqa: E731
        run = lambda boxes, scores, t=threshold, o=offset: ops.nms(boxes, scores, t, offset=o)  # noqa: E731
        yield Case(f"nms-{number}-{levels}-{offset}-{threshold}", make, run)
    same = torch.tensor(
        [[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10], [4, 4, 4, 4], [4, 4, 4, 4]]
    )
    make = lambda: dict(boxes=same, scores=torch.tensor([0.5, 0.9, 0.5, 0.7, 0.7]))  # noqa: E731
    yield Case("nms-equal-and-empty-boxes", make, lambda boxes, scores: ops.nms(boxes, scores, 0.5))
    yield Case(
        "nms-max-num-and-score", lambda: dict(boxes=boxes(200), scores=scores(200)),
        lambda boxes, scores: ops.nms(boxes, scores, 0.5, score_threshold=0.3, max_num=20),
    )  # fmt: skip
    yield Case(
        "batched-nms",
        lambda: dict(boxes=boxes(400), scores=scores(400), idxs=torch.arange(400) % 7),
        lambda boxes, scores, idxs: ops.batched_nms(
            boxes, scores, idxs, dict(type="nms", iou_threshold=0.5)
        ),
    )  # fmt: skip
    for method in ("naive", "linear", "gaussian"):
        for number, levels, offset in ((0, 0, 0), (1, 0, 0), (200, 0, 0), (200, 4, 1)):
            make = lambda n=number, k=levels: dict(boxes=boxes(n), scores=scores(n, k))  # noqa: E731
            how = dict(iou_threshold=0.3, sigma=0.5, min_score=0.05, method=method, offset=offset)
            run = lambda boxes, scores, how=how: ops.soft_nms(boxes, scores, **how)  # noqa: E731
            yield Case(f"soft-nms-{method}-{number}-{levels}-{offset}", make, run)
    for number, levels in ((1, 0), (200, 0), (200, 4)):
        make = lambda n=number, k=levels: dict(dets=torch.cat([boxes(n), scores(n, k)[:, None]], 1))  # noqa: E731
        run = lambda dets: [torch.as_tensor(group) for group in ops.nms_match(dets, 0.4)]  # noqa: E731
        yield Case(f"nms-match-{number}-{levels}", make, run)
    for mode in ("iou", "iof"):
        for aligned in (False, True):
            for offset in (0, 1):
                how = dict(mode=mode, aligned=aligned, offset=offset)
                make = lambda: dict(a=boxes(20), b=boxes(20, seed=5))  # noqa: E731
                run = lambda a, b, how=how: ops.bbox_overlaps(a, b, **how)  # noqa: E731
                yield Case(f"bbox-overlaps-{mode}-{aligned}-{offset}", make, run)


def pooling_cases() -> Iterator[Case]:
    for mode in ("avg", "max"):
        for aligned in (True, False):
            for ratio in (0, 2):
                for number in (0, 40):
                    how = (7, 0.5, ratio, mode, aligned)
                    make = lambda n=number: dict(x=picture(2, 5, 23, 31), rois=rois(n, 2))  # noqa: E731
                    if mode == "max" and ratio == 0:  # a point has no samples: see DEVIATION

                        def make(n=number):
                            return dict(x=picture(2, 5, 23, 31), rois=rois(n + 4, 2)[4:])

                    run = lambda x, rois, how=how: ops.roi_align(x, rois, *how)  # noqa: E731
                    yield Case(f"roi-align-{mode}-{aligned}-{ratio}-{number}", make, run, ("x",))
    yield Case(
        "roi-align-oblong", lambda: dict(x=picture(1, 3, 9, 40), rois=rois(9, 1)),
        lambda x, rois: ops.roi_align(x, rois, (3, 5), 0.25, 3, "avg", True), ("x",),
    )  # fmt: skip
    yield Case(
        "roi-align-masks", lambda: dict(x=(picture(6, 1, 64, 80) > 0).float(), rois=rois(6, 6)),
        lambda x, rois: ops.roi_align(x, rois, (28, 28), 1.0, 0, "avg", True),
    )  # fmt: skip
    for number in (0, 30):
        make = lambda n=number: dict(x=picture(2, 4, 23, 31), rois=rois(n, 2))  # noqa: E731
        run = lambda x, rois: ops.roi_pool(x, rois, (5, 7), 0.5)  # noqa: E731
        yield Case(f"roi-pool-{number}", make, run, ("x",), cuda_only=True)
    for ratio in (0, 2):

        def make():
            return dict(x=picture(2, 4, 23, 31), rois=rois(9, 2)[4:], offset=picture(5, 2, 7, 7))

        run = lambda x, rois, offset, r=ratio: ops.deform_roi_pool(  # noqa: E731
            x, rois, offset, (7, 7), 0.5, r, 0.1
        )
        yield Case(f"deform-roi-pool-{ratio}", make, run, ("x", "offset"), cuda_only=True)


def convolution_cases() -> Iterator[Case]:
    for name, batch, size, kernel, stride, padding, dilation, groups, offset_groups in (
        ("plain", 2, (9, 13), 3, 1, 1, 1, 1, 1),
        ("stride", 2, (9, 13), 3, 2, 1, 1, 1, 1),
        ("dilation", 1, (9, 13), 3, 1, 2, 2, 1, 1),
        ("groups", 3, (9, 13), 3, 1, 1, 1, 2, 1),
        ("offset-groups", 2, (9, 13), 3, 1, 1, 1, 1, 4),
        ("all", 2, (10, 11), (3, 5), (2, 1), (1, 2), (2, 1), 2, 4),
        ("one-tap", 1, (6, 7), 1, 1, 0, 1, 1, 1),
        ("small-map", 1, (3, 3), 3, 1, 0, 1, 1, 1),
    ):  # fmt: skip
        k, s, p, d = (
            v if isinstance(v, tuple) else (v, v) for v in (kernel, stride, padding, dilation)
        )
        h, w = ((size[i] + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i in (0, 1))
        taps = k[0] * k[1] * offset_groups

        def make(batch=batch, size=size, k=k, groups=groups, taps=taps, h=h, w=w, mask=False):
            found = dict(
                x=picture(batch, 8, *size),
                offset=picture(batch, 2 * taps, h, w, seed=4) * 2,
                weight=picture(6, 8 // groups, *k, seed=5),
            )
            return (
                {**found, "mask": picture(batch, taps, h, w, seed=6).sigmoid()} if mask else found
            )

        how = (s, p, d, groups, offset_groups)
        run = lambda x, offset, weight, how=how: ops.deform_conv2d(x, offset, weight, *how)  # noqa: E731
        yield Case(f"deform-conv-{name}", make, run, ("x", "offset", "weight"))
        with_mask = lambda make=make: {**make(mask=True), "bias": picture(6, seed=7)}  # noqa: E731
        run = lambda x, offset, weight, mask, bias, how=how: ops.modulated_deform_conv2d(  # noqa: E731
            x, offset, mask, weight, bias, *how
        )
        yield Case(
            f"modulated-deform-conv-{name}",
            with_mask,
            run,
            ("x", "offset", "weight", "mask", "bias"),
        )
    plain = lambda: dict(  # noqa: E731
        x=picture(1, 8, 6, 7), offset=torch.zeros(1, 18, 6, 7), weight=picture(6, 8, 3, 3)
    )
    run = lambda x, offset, weight: ops.deform_conv2d(x, offset, weight, 1, 1)  # noqa: E731
    yield Case("deform-conv-whole-pixels", plain, run, ("x", "offset", "weight"))
    yield Case("deform-conv-weight-alone", plain, run, ("weight",))
    far = lambda: dict(  # noqa: E731
        x=picture(1, 8, 6, 7), offset=picture(1, 18, 6, 7) * 1e4, weight=picture(6, 8, 3, 3)
    )
    yield Case("deform-conv-far-outside", far, run, ("x", "offset", "weight"))


def attention_inputs() -> dict[str, Tensor]:
    sizes = torch.tensor([[9, 11], [5, 6], [3, 3]])
    places = int(sizes.prod(1).sum())
    starts = torch.cat([sizes.new_zeros(1), sizes.prod(1).cumsum(0)[:-1]])
    location = picture(2, 7, 4, 3, 5, 2, seed=8) * 0.4 + 0.5  # some outside
    attention = picture(2, 7, 4, 15, seed=9).softmax(-1).reshape(2, 7, 4, 3, 5)
    return dict(
        value=picture(2, places, 4, 8),
        sizes=sizes,
        starts=starts,
        location=location,
        attention=attention,
    )


def other_cases() -> Iterator[Case]:
    yield Case(
        "ms-deform-attn", attention_inputs,
        lambda value, sizes, starts, location, attention: ops.MultiScaleDeformableAttention and (
            ops.multi_scale_deform_attn.MultiScaleDeformableAttnFunction.apply(
                value, sizes, starts, location, attention, 64
            )
        ),
        ("value", "location", "attention"), cuda_only=True,
    )  # fmt: skip
    for gamma in (2.0, 0.5):
        for weighted in (False, True):

            def make(weighted=weighted):
                found = dict(x=picture(12, 5) * 3, labels=torch.arange(12) % (5 if weighted else 6))
                return {**found, "weight": torch.linspace(0.3, 1.2, 5)} if weighted else found

            run = lambda x, labels, weight=None, g=gamma: ops.sigmoid_focal_loss(  # noqa: E731
                x, labels, g, 0.25, weight, "sum"
            )
            yield Case(f"sigmoid-focal-{gamma}-{weighted}", make, run, ("x",), cuda_only=True)
            few = lambda weighted=weighted, make=make: {**make(), "labels": torch.arange(12) % 5}  # noqa: E731
            run = lambda x, labels, weight=None, g=gamma: ops.softmax_focal_loss(  # noqa: E731
                x, labels, g, 0.25, weight, "sum"
            )
            yield Case(f"softmax-focal-{gamma}-{weighted}", few, run, ("x",), cuda_only=True)
    for kernel, groups, scale in ((3, 1, 2), (5, 2, 2), (3, 4, 1)):
        make = lambda k=kernel, g=groups, s=scale: dict(  # noqa: E731
            x=picture(2, 8, 5, 6), masks=picture(2, k * k * g, 5 * s, 6 * s, seed=4)
        )
        run = lambda x, masks, how=(kernel, groups, scale): ops.carafe(x, masks, *how)  # noqa: E731
        yield Case(f"carafe-{kernel}-{groups}-{scale}", make, run, ("x", "masks"), cuda_only=True)
    yield Case(
        "masked-conv",
        lambda: dict(
            x=picture(1, 4, 9, 8), mask=picture(1, 9, 8) > 0.5,
            weight=picture(6, 4, 3, 3), bias=picture(6),
        ),
        lambda x, mask, weight, bias: ops.masked_conv2d(x, mask, weight, bias, 1), cuda_only=True,
    )  # fmt: skip
    shift = torch.tensor([[0, 1, -1, 2], [-4, 3, 0, 9]], dtype=torch.int)
    yield Case(
        "tin-shift", lambda: dict(x=picture(2, 4, 8, 6), shift=shift),
        lambda x, shift: ops.tin_shift(x, shift), cuda_only=True,
    )  # fmt: skip
    for kind in (0, 1):
        for mask in ((3, 5), (9, 11), (1, 1)):
            make = lambda m=mask: dict(x=picture(2, m[0] * m[1], 5, 6))  # noqa: E731
            run = lambda x, kind=kind, m=mask: ops.psa_mask.psa_mask(x, kind, m)  # noqa: E731
            yield Case(f"psa-mask-{kind}-{mask[0]}x{mask[1]}", make, run, ("x",))


CASES = [*nms_cases(), *pooling_cases(), *convolution_cases(), *other_cases()]


def outputs(
    case: Case, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> dict[str, Tensor]:
    """Everything that a case gives: values, and the gradients of a fixed weighting of them."""
    inputs = {
        name: one.to(device, dtype if one.is_floating_point() else None)
        for name, one in case.make().items()
    }
    for name in case.wants:
        inputs[name].requires_grad_()
    results = case.run(**inputs)
    results = results if isinstance(results, tuple | list) else (results,)
    found = {f"value {i}": one.detach() for i, one in enumerate(results)}
    if case.wants:
        (result,) = results
        ramp = torch.linspace(-1, 1, result.numel(), device=device).reshape(result.shape)
        (result * ramp.to(result.dtype)).sum().backward()
        found.update({f"gradient of {name}": inputs[name].grad for name in case.wants})
    return found
