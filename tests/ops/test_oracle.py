"""Every operator equals a slow loop, with all our sources; its gradient is that of its values."""

import functools

import mmcv.ops as ops
import numpy as np
import pytest
import torch
from mmcv.ops.psa_mask import psa_mask

from tests.ops import oracle
from tests.ops.cases import CASES, attention_inputs, boxes, outputs, picture, rois, scores

SOURCES = ("torch", "torchvision")
BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(params=SOURCES)
def source(request, serve):
    serve(request.param)
    return request.param


@pytest.fixture
def plain(serve):
    serve("torch")


def equal(ours, theirs, tolerance=1e-5):
    torch.testing.assert_close(
        ours.double(), torch.as_tensor(theirs).double(), rtol=tolerance, atol=tolerance
    )


def double(inputs):
    return {
        name: one.double().numpy() if one.is_floating_point() else one.numpy()
        for name, one in inputs.items()
    }


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("levels", [0, 4])
@pytest.mark.parametrize("number", [0, 1, 2, 90, 200])
def test_nms(source, number, levels, offset, monkeypatch):
    monkeypatch.setattr("mmext.ops.nms.BLOCK", 64)  # several blocks
    few, many = scores(number, levels), boxes(number)
    _, kept = ops.nms(many, few, 0.5, offset=offset)
    order = few.sort(descending=True).indices  # which decides between equal scores, in mmcv too
    assert kept.tolist() == oracle.nms(many.tolist(), order.tolist(), 0.5, offset)


def test_nms_of_a_chain_in_which_each_box_suppresses_the_next(plain):
    # The longest wait for the rounds within a block: every second box stays.
    first = torch.arange(1030.0)
    chain = torch.stack([first, torch.zeros(1030), first + 2.5, torch.ones(1030)], dim=1)
    _, kept = ops.nms(chain, torch.linspace(1, 0, 1030), 0.3)
    assert kept.tolist() == list(range(0, 1030, 2))


@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
def test_soft_nms(plain, method):
    many, few = boxes(60), scores(60)
    found, index = ops.soft_nms(many, few, 0.3, 0.5, 0.02, method)
    theirs = oracle.soft_nms(many.tolist(), few.tolist(), 0.3, 0.5, 0.02, method)
    assert index.tolist() == [i for i, _ in theirs]
    equal(found[:, 4], [score for _, score in theirs])
    equal(found[:, :4], many[index])


def test_nms_match(plain):
    many, few = boxes(150), scores(150)
    groups = ops.nms_match(torch.cat([many, few[:, None]], dim=1), 0.4)
    assert [list(group) for group in groups] == oracle.nms_match(many.tolist(), few.tolist(), 0.4)


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_roi_align(source, mode, aligned, ratio):
    x, regions = picture(2, 2, 7, 9), rois(7, 2, 18)
    ours = ops.roi_align(x, regions, (3, 2), 0.5, ratio, mode, aligned)
    equal(
        ours,
        oracle.roi_align(
            x.double().numpy(), regions.double().numpy(), (3, 2), 0.5, ratio, mode, aligned
        ),
    )


def test_roi_align_in_many_chunks(plain, monkeypatch):
    x, regions = picture(2, 3, 23, 31), rois(40, 2)
    whole = [
        ops.roi_align(x, regions, 5, 0.5, ratio, mode)
        for ratio in (0, 2)
        for mode in ("avg", "max")
    ]
    monkeypatch.setattr("mmext.ops.roi_bins.ENTRIES", 3000)
    parts = [
        ops.roi_align(x, regions, 5, 0.5, ratio, mode)
        for ratio in (0, 2)
        for mode in ("avg", "max")
    ]
    for one, other in zip(whole, parts, strict=True):
        equal(one, other, 1e-6)


def test_roi_pool(plain, monkeypatch):
    x, regions = picture(2, 3, 11, 13), rois(12, 2, 30)
    theirs = oracle.roi_pool(x.double().numpy(), regions.double().numpy(), (3, 4), 0.5)
    equal(ops.roi_pool(x, regions, (3, 4), 0.5), theirs)
    monkeypatch.setattr("mmext.ops.roi_pool.VALUES", 2000)
    equal(ops.roi_pool(x, regions, (3, 4), 0.5), theirs)


@pytest.mark.parametrize("ratio", [0, 2])
def test_deform_roi_pool(plain, ratio):
    x, regions, offset = picture(2, 2, 9, 13), rois(8, 2, 30)[4:], picture(4, 2, 3, 3)
    ours = ops.deform_roi_pool(x, regions, offset, (3, 3), 0.5, ratio, 0.1)
    plain = (one.double().numpy() for one in (x, regions))
    equal(
        ours,
        oracle.roi_align(
            *plain, (3, 3), 0.5, ratio, "avg", True, shift=0.1 * offset.double().numpy()
        ),
    )


HOW = {
    "plain": ((1, 1), (1, 1), (1, 1), 1, 1),
    "all": ((2, 1), (1, 2), (2, 1), 2, 4),
}


@functools.cache
def slow_convolution(name: str, *, modulated: bool):
    """What the loop gives for a case; with both sources the same."""
    case = BY_NAME[f"{'modulated-' * modulated}deform-conv-{name}"]
    inputs = double(case.make())
    bias, mask = inputs.pop("bias", np.zeros(1)), inputs.pop("mask", None)
    return oracle.deform_conv(*inputs.values(), mask, *HOW[name]) + bias[:, None, None]


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("name", HOW)
def test_deformable_convolutions(source, name, modulated):
    ours = outputs(BY_NAME[f"{'modulated-' * modulated}deform-conv-{name}"])["value 0"]
    equal(ours, slow_convolution(name, modulated=modulated))


def test_deformable_attention(plain):
    inputs = attention_inputs()
    ours = outputs(BY_NAME["ms-deform-attn"])["value 0"]
    equal(ours, oracle.deformable_attention(**double(inputs)))
    theirs = ops.multi_scale_deform_attn.multi_scale_deformable_attn_pytorch(
        *(inputs[name] for name in ("value", "sizes", "location", "attention"))
    )
    equal(ours, theirs)


@pytest.mark.parametrize("gamma", [2.0, 0.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_focal_losses(plain, gamma, weighted):
    x, labels, weight = (
        picture(12, 5) * 3,
        torch.arange(12) % 5,
        torch.rand(5) if weighted else None,
    )
    numbers = (x.double().numpy(), labels.numpy(), gamma, 0.25, weight)
    equal(
        ops.sigmoid_focal_loss(x, labels, gamma, 0.25, weight, "sum"),
        oracle.sigmoid_focal(*numbers),
    )
    equal(
        ops.softmax_focal_loss(x, labels, gamma, 0.25, weight, "sum"),
        oracle.softmax_focal(*numbers),
    )


def test_focal_loss_of_confident_mistakes_is_that_of_the_logit(plain):
    x = torch.tensor([[30.0, -30.0]], requires_grad=True)
    loss = ops.sigmoid_focal_loss(x, torch.tensor([1]), 2.0, 0.25, None, "none")
    equal(loss, [[0.75 * 30, 0.25 * 30]])  # mmcv's would be 65 in the first place
    loss.sum().backward()
    equal(x.grad, [[0.75, -0.25]])


def test_softmax_focal_loss_of_perfect_scores_has_a_gradient(plain):
    x = torch.tensor([[200.0, 0.0]], requires_grad=True)
    ops.softmax_focal_loss(x, torch.tensor([0]), 0.5, 0.25, None, "sum").backward()
    assert x.grad.abs().max() < 1e-6


@pytest.mark.parametrize("how", [(3, 1, 2), (5, 2, 2), (3, 4, 1)])
@pytest.mark.parametrize("operator", ["carafe", "carafe_naive"])
def test_carafe(plain, operator, how):
    kernel, groups, scale = how
    x, masks = picture(2, 8, 5, 6), picture(2, kernel**2 * groups, 5 * scale, 6 * scale)
    theirs = oracle.carafe(x.double().numpy(), masks.double().numpy(), *how)
    equal(getattr(ops, operator)(x, masks, *how), theirs)


def test_tin_shift(plain):
    x, shift = picture(2, 4, 8, 6), torch.tensor([[0, 1, -1, 2], [-4, 3, 0, 9]], dtype=torch.int)
    equal(ops.tin_shift(x, shift), oracle.tin_shift(x.double().numpy(), shift.numpy()))


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("mask", [(3, 5), (9, 11), (1, 1)])
def test_psa_mask(plain, kind, mask):
    x = picture(2, mask[0] * mask[1], 5, 6)
    equal(psa_mask(x, kind, mask), oracle.psa_mask(x.double().numpy(), kind, mask))


def test_masked_convolution(plain):
    inputs = BY_NAME["masked-conv"].make()
    ours = ops.masked_conv2d(*inputs.values(), 1)
    equal(ours, oracle.masked_conv(*double(inputs).values()))


def test_mmcvs_sync_bn_normalises_as_torchs(plain):
    x = picture(3, 4, 5, 6)
    theirs, ours = torch.nn.BatchNorm2d(4), [torch.zeros(4), torch.ones(4)]
    weight, bias = (torch.randn(4).requires_grad_() for _ in range(2))
    theirs.weight.data, theirs.bias.data = weight.detach().clone(), bias.detach().clone()
    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    y = ops.sync_bn.SyncBatchNormFunction.apply(
        mine, *ours, weight, bias, 0.1, 1e-5, None, 1, "default"
    )
    expected = theirs(other)
    equal(y, expected)
    ramp = torch.linspace(-1, 1, y.numel()).reshape(y.shape)
    (y * ramp).sum().backward()
    (expected * ramp).sum().backward()
    for one, two in ((mine, other), (weight, theirs.weight), (bias, theirs.bias)):
        equal(one.grad, two.grad)
    equal(ours[0], theirs.running_mean)
    equal(ours[1], theirs.running_var)


GRADIENTS = [
    case
    for case in CASES
    if case.wants
    and "focal" not in case.name
    and "whole-pixels" not in case.name
    and "-0" not in case.name[-2:]
]


@pytest.mark.parametrize("case", GRADIENTS, ids=lambda case: case.name)
def test_the_gradient_is_that_of_the_values(source, case):
    inputs = {
        name: one.double() if one.is_floating_point() else one for name, one in case.make().items()
    }
    # A few numbers of each tensor are enough to tell a wrong formula.
    picked = {name: torch.linspace(0, inputs[name].numel() - 1, 6).long() for name in case.wants}

    def run(*some):
        changed = dict(inputs)
        for (name, index), values in zip(picked.items(), some, strict=True):
            changed[name] = (
                inputs[name].flatten().index_put((index,), values).reshape(inputs[name].shape)
            )
        result = case.run(**changed)
        ramp = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).reshape(result.shape)
        return (result * ramp).sum()  # one number: gradcheck goes back once for each

    some = [
        inputs[name].flatten()[index].clone().requires_grad_() for name, index in picked.items()
    ]
    assert torch.autograd.gradcheck(run, some, nondet_tol=1e-9)


@pytest.mark.parametrize("gamma", [2.0, 0.5])
@pytest.mark.parametrize("operator", ["sigmoid_focal_loss", "softmax_focal_loss"])
def test_the_gradient_of_focal_losses(plain, operator, gamma):
    x, labels = picture(6, 4).double().requires_grad_(), torch.arange(6) % 4
    assert torch.autograd.gradcheck(
        lambda x: getattr(ops, operator)(x, labels, gamma, 0.25, None, "sum"), (x,)
    )


def test_the_gradient_of_interlacing(plain):
    # mmcv's own autograd function gives the shift, whole numbers, a gradient that gradcheck cannot
    # take.
    shift = torch.tensor([[0, 1, -1, 2]], dtype=torch.int)
    x = picture(1, 4, 8, 2).double().requires_grad_()
    grad = picture(1, 4, 8, 2, seed=9).double()
    found = torch.empty_like(grad)
    from mmext.ops.tin_shift import _backward, tin_shift

    _backward(grad, shift, found)
    tin_shift(x, shift).backward(grad)
    equal(found, x.grad)
