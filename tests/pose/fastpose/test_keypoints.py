"""Cells of RoIs: there and back, against loops, at the edges, and what autograd keeps of them."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from mmext.measure import bytes_kept_for_backward, host_waits
from mmext.pose.fastpose.keypoints import (
    cell_cross_entropy,
    cubic_weights,
    decode_keypoints,
    encode_keypoints,
    enlarged,
    flip_points,
)

SIZE = (56, 56)


def boxes_and_points(n: int, k: int = 1) -> tuple[Tensor, Tensor]:
    """Random RoIs of 1 to 300 px, wide and tall, and points within."""
    g = torch.Generator().manual_seed(0)
    extent = torch.rand(n, 2, generator=g) * 299 + 1
    start = torch.rand(n, 2, generator=g) * 500
    share = torch.rand(n, k, 2, generator=g)
    return torch.cat([start, start + extent], 1), start[:, None] + share * extent[:, None]


def maps_with_peaks(cell: Tensor, size: tuple[int, int]) -> Tensor:
    return F.one_hot(cell, size[0] * size[1]).float().unflatten(2, size) * 20


def test_points_come_back_within_half_a_cell_and_half_a_pixel():
    boxes, points = boxes_and_points(2000)  # FP-1
    cell, valid = encode_keypoints(points, torch.ones(2000, 1, dtype=torch.bool), boxes, SIZE)
    assert valid.all()
    found, peak = decode_keypoints(maps_with_peaks(cell, SIZE), boxes, scale=1)
    error = (found - points).abs().squeeze(1)
    extent = boxes[:, 2:] - boxes[:, :2]
    assert (error <= extent / 112 + 0.5 + 1e-3).all()
    assert (error.mean(0) > 0.2).all(), "the check could not fail"
    assert (peak > 0.99).all()


def encoded_by_loop(point, box, size):
    """Mask R-CNN's rule, one point at a time."""
    H, W = size
    x1, y1, x2, y2 = box.tolist()
    x, y = point.tolist()
    if x2 - x1 < 1 or y2 - y1 < 1 or not (x1 <= x <= x2 and y1 <= y <= y2):
        return None
    column = min(int((x - x1) * W / (x2 - x1)), W - 1)
    row = min(int((y - y1) * H / (y2 - y1)), H - 1)
    return row * W + column


def test_targets_are_those_of_a_loop_over_points():
    boxes, points = boxes_and_points(40, 5)
    boxes, points = boxes.double(), points.double()
    points[::3] += 40  # some leave their RoI
    size = (28, 36)
    cell, valid = encode_keypoints(points, torch.ones(40, 5, dtype=torch.bool), boxes, size)
    expected = [
        [encoded_by_loop(p, b, size) for p in ps] for ps, b in zip(points, boxes, strict=True)
    ]
    assert 0 < sum(one is None for row in expected for one in row) < 100
    for i, row in enumerate(expected):
        for k, one in enumerate(row):
            assert (one is not None) == valid[i, k]
            assert (one or 0) == cell[i, k]


@pytest.mark.parametrize(
    ("point", "box", "cell"),
    [
        ((10.0, 10.0), (10.0, 10.0, 66.0, 66.0), 0),
        ((66.0, 66.0), (10.0, 10.0, 66.0, 66.0), 56 * 56 - 1),  # the far corner belongs to it
        ((66.1, 66.0), (10.0, 10.0, 66.0, 66.0), None),
        ((9.9, 20.0), (10.0, 10.0, 66.0, 66.0), None),
        ((10.2, 10.2), (10.0, 10.0, 10.5, 40.0), None),  # a RoI below a pixel
        ((10.0, 10.0), (10.0, 10.0, 10.0, 10.0), None),
        ((float("nan"), 20.0), (10.0, 10.0, 66.0, 66.0), None),
    ],
)
def test_edges(point, box, cell):
    found, valid = encode_keypoints(
        torch.tensor([[point]]), torch.ones(1, 1, dtype=torch.bool), torch.tensor([box]), SIZE
    )
    assert valid.item() == (cell is not None)
    assert found.item() == (cell or 0)


def test_unlabelled_points_are_not_learnt():
    boxes, points = boxes_and_points(6, 3)
    labelled = torch.tensor([True, False, True]).expand(6, 3)
    assert torch.equal(encode_keypoints(points, labelled, boxes, SIZE)[1], labelled)


def bicubic(maps: Tensor, height: int, width: int) -> Tensor:
    """Bicubic enlargement of maps (K, H, W), mirrored at the centres of their last cells."""
    H, W = maps.shape[1:]
    padded = F.pad(maps[None], (3, 3, 3, 3), mode="reflect")
    y = ((torch.arange(height) + 0.5) * H / height + 3) / (H + 6) * 2 - 1
    x = ((torch.arange(width) + 0.5) * W / width + 3) / (W + 6) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), 2)[None]
    return F.grid_sample(padded, grid, mode="bicubic", align_corners=False)[0]


def test_the_weights_are_those_of_bicubic_interpolation():
    rows = torch.randn(4, 56, generator=torch.Generator().manual_seed(0))
    pixels = torch.tensor([1, 17, 56, 203])
    ours = torch.einsum("npl,nl->np", cubic_weights(56, pixels, 203), rows)
    for row, size, found in zip(rows, pixels.tolist(), ours, strict=True):
        assert_close(found[:size], bicubic(row.expand(1, 7, 56), 7, size)[0, 3], rtol=0, atol=1e-4)
        want = F.interpolate(row[None, None, None], (1, size), mode="bicubic", align_corners=False)
        inner = slice(size // 16, size - size // 16)
        assert_close(found[:size][inner], want.flatten()[inner], rtol=0, atol=1e-5)


def decoded_by_loop(maps, box, scale):
    """One RoI: enlarge to whole pixels, take the largest one's centre."""
    x1, y1, x2, y2 = box.tolist()
    logits = F.interpolate(maps[None], scale_factor=scale, mode="bilinear", align_corners=False)[0]
    w, h = (max(math.ceil(side), 28) for side in (x2 - x1, y2 - y1))
    at = bicubic(logits, h, w).flatten(1).argmax(1)
    x = x1 + (at % w + 0.5) / w * (x2 - x1)
    y = y1 + (at // w + 0.5) / h * (y2 - y1)
    return torch.stack([x, y], 1), logits.flatten(1).softmax(1).amax(1)


@pytest.mark.parametrize("block", [1, 2**24], ids=["one-by-one", "all-at-once"])
def test_decoding_is_that_of_a_loop_over_rois(block, monkeypatch):
    monkeypatch.setattr("mmext.pose.fastpose.keypoints.elements_a_block", lambda device: block)
    boxes, _ = boxes_and_points(6)
    maps = torch.randn(6, 3, 14, 14, generator=torch.Generator().manual_seed(1)) * 3
    points, peak = decode_keypoints(maps, boxes)
    for i, box in enumerate(boxes):
        want, scores = decoded_by_loop(maps[i], box, 2)
        assert_close(points[i], want, rtol=0, atol=1e-2)
        assert_close(peak[i], scores)


def test_a_roi_below_a_pixel_gives_its_centre_and_no_score():
    boxes = torch.tensor([[10.0, 20.0, 10.5, 80.0], [5.0, 5.0, 5.0, 5.0]])
    points, peak = decode_keypoints(torch.randn(2, 3, 14, 14), boxes)
    assert_close(points, torch.tensor([[10.25, 50.0], [5.0, 5.0]])[:, None].expand(2, 3, 2))
    assert not peak.any()


def test_no_rois_give_no_points():
    points, peak = decode_keypoints(torch.zeros(0, 17, 28, 28), torch.zeros(0, 4))
    assert points.shape == (0, 17, 2)
    assert peak.shape == (0, 17)


def test_flipping_twice_changes_nothing():
    _, points = boxes_and_points(4, 3)
    values = torch.rand(4, 3, 1)
    once = flip_points(points, values, 640.0, [(0, 2)])
    assert_close(once[0][:, 0, 0], 640 - points[:, 2, 0])
    assert torch.equal(once[1][:, 0], values[:, 2])
    again = flip_points(*once, 640.0, [(0, 2)])
    assert_close(again, (points, values))


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_maps_are_enlarged_bilinearly(scale):
    maps = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    want = F.interpolate(maps, scale_factor=scale, mode="bilinear", align_corners=False)
    assert_close(enlarged(maps, scale), want)


def loss_by_one_hot(maps: Tensor, cell: Tensor, valid: Tensor, scale: int) -> Tensor:
    """Cross-entropy with its targets written out."""
    logits = enlarged(maps, scale).flatten(2)
    target = F.one_hot(cell, logits.shape[2]).to(logits.dtype)
    return -(target * logits.log_softmax(2)).sum(2) * valid


def case(n=5, k=3, side=7, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    maps = torch.randn(n, k, side, side, generator=g, dtype=dtype).requires_grad_()
    cell = torch.randint(0, 4 * side * side, (n, k), generator=g)
    return maps, cell, torch.rand(n, k, generator=g) < 0.7


def test_the_loss_is_that_of_one_hot_targets():
    maps, cell, valid = case()
    weight = torch.rand(5, 3, dtype=torch.float64)
    ours, theirs = cell_cross_entropy(maps, cell, valid), loss_by_one_hot(maps, cell, valid, 2)
    assert_close(ours, theirs)
    grads = [torch.autograd.grad((one * weight).sum(), maps)[0] for one in (ours, theirs)]
    assert_close(*grads)
    assert not grads[0][~valid].any()
    assert grads[0][valid].any()


def test_gradients_are_those_of_differences():
    maps, cell, valid = case(2, 2, 3)
    assert torch.autograd.gradcheck(lambda x: cell_cross_entropy(x, cell, valid), maps)


def test_half_precision_is_reckoned_in_single():
    maps, cell, valid = case(dtype=torch.float32)
    half = maps.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = cell_cross_entropy(half, cell, valid)
    assert loss.dtype == torch.float32
    assert_close(loss, cell_cross_entropy(half.float(), cell, valid))
    loss.sum().backward()
    assert half.grad.dtype == torch.bfloat16


def test_the_loss_keeps_less_than_half_of_what_one_hot_targets_keep():
    maps, cell, valid = case(8, 17, 28, torch.float32)
    kept, of_one_hot = (
        bytes_kept_for_backward(lambda run=run: run(maps, cell, valid, scale=2).sum())
        for run in (cell_cross_entropy, loss_by_one_hot)
    )
    assert kept <= 0.4 * of_one_hot
    assert kept >= maps.numel() * 4, "it counts nothing"


def test_neither_targets_nor_loss_wait_for_a_gpu():
    maps, _, _ = case(4, 3, dtype=torch.float32)
    boxes, points = boxes_and_points(4, 3)

    def step() -> None:
        cell, valid = encode_keypoints(points, torch.ones(4, 3, dtype=torch.bool), boxes, (14, 14))
        cell_cross_entropy(maps, cell, valid).sum().backward()

    assert not host_waits(step)


def test_no_rois_give_no_loss_but_a_graph():
    maps = torch.zeros(0, 17, 28, 28, requires_grad=True)
    loss = cell_cross_entropy(
        maps, torch.zeros(0, 17, dtype=torch.long), torch.zeros(0, 17, dtype=torch.bool)
    )
    loss.sum().backward()
    assert maps.grad.shape == maps.shape
