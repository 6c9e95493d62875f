"""SWNStandardRoIHead: masks weighted by RoI, mask branch run once, the host's numbers without."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.config import Config
from torch.testing import assert_close

from mmext.detection.sample_weighting.mask import mask_loss
from mmext.detection.sample_weighting.samples import Weights
from tests.contract import detection as host
from tests.contract.parts import ROOT, built

CONFIG = (
    ROOT / "configs/detection/sample_weighting/swn_mask-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py"
)
NEUTRAL = dict(clamp=(0, 0), lambdas=dict(cls_pos=0, cls_neg=0, reg=0, mask=0))


def detector(swn=None, **changes):
    """Ours with that ``swn``, or mmdet's own for the word "host"; the same weights."""
    cfg = Config.fromfile(CONFIG)
    head = cfg.model.roi_head
    if swn == "host":
        head.type, head.bbox_head.type = "StandardRoIHead", "Shared2FCBBoxHead"
        head.bbox_head.pop("swn")
    else:
        head.bbox_head.swn = swn
    for key, value in changes.items():
        head.mask_head.loss_mask[key] = value
    host.lessen(cfg.model)
    return built(cfg, MODELS)


def step(model, counts=(4, 3)):
    """Every loss, and the gradients of the detector's own parameters."""
    model.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    data = model.data_preprocessor(host.batch(counts=counts, num_classes=6), training=True)
    losses = model(**data, mode="loss")
    model.parse_losses(losses)[0].backward()
    grads = {name: p.grad for name, p in model.named_parameters() if "swn" not in name}
    found = {key: value for key, value in losses.items() if key.startswith("loss_")}
    # The host's mask loss is a vector of one number.
    return {
        key: torch.as_tensor(v).reshape(()) if key == "loss_mask" else v for key, v in found.items()
    }, grads


def test_single_losses_are_the_means_of_each_mask():
    g = torch.Generator().manual_seed(0)
    pred = torch.randn(3, 4, 5, 6, generator=g)
    target = (torch.rand(3, 5, 6, generator=g) > 0.5).float()
    label = torch.tensor([2, 0, 3])
    expected = [F.binary_cross_entropy_with_logits(pred[i, label[i]], target[i]) for i in range(3)]
    assert_close(mask_loss(pred, target, label), torch.stack(expected))


def test_without_swn_it_is_the_host():
    ours, theirs = detector(), detector("host")
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert_close(step(ours), step(theirs), rtol=0, atol=0)


def test_neutral_weights_give_the_hosts_numbers():
    (losses, grads), (expected, expected_grads) = step(detector(NEUTRAL)), step(detector("host"))
    for name, value in expected.items():
        assert_close(losses[name], value, rtol=1e-6, atol=1e-7)
    for name, value in expected_grads.items():
        # Of the whole tensor: single elements may be differences of large numbers that nearly
        # cancel.
        error = (torch.zeros(()) if value is None else grads[name] - value).norm()
        assert error <= 1e-4 * (0 if value is None else value.norm()) + 1e-7, name


def test_masks_are_weighted_one_by_one_and_the_branch_runs_once():
    model = detector({})
    calls, seen = [], {}
    model.roi_head.mask_head.register_forward_hook(lambda *_: calls.append(1))

    class Given(torch.nn.Module):
        sees = ()

        def forward(self, samples):
            seen["mask"] = samples.mask.detach()
            positives = len(samples.positive)
            weights = torch.linspace(0.5, 2, positives)
            return Weights(torch.ones_like(samples.cls), torch.ones(positives), weights, {})

    model.roi_head.bbox_head.swn = Given()
    losses, _ = step(model)
    assert len(calls) == 1
    assert len(seen["mask"]) > 1
    expected = (seen["mask"] * torch.linspace(0.5, 2, len(seen["mask"]))).mean()
    assert_close(losses["loss_mask"].detach(), expected)
    plain, _ = step(detector("host"))
    assert_close(seen["mask"].mean(), plain["loss_mask"].detach())


def test_the_weight_of_the_host_s_loss_is_kept():
    once, twice = (step(detector({}, loss_weight=weight))[0]["loss_mask"] for weight in (1.0, 2.0))
    assert_close(twice, 2 * once)


@pytest.mark.parametrize("counts", [(0, 0), (0, 3)])
def test_images_without_objects_give_finite_losses_and_reach_every_parameter(counts):
    model = detector({})
    losses, _ = step(model, counts)
    assert all(
        torch.isfinite(torch.as_tensor(v).sum()) for v in losses.values() if torch.is_tensor(v)
    )
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name


def test_other_losses_and_heads_are_refused():
    with pytest.raises(
        ValueError, match=r"expects CrossEntropyLoss\(use_mask=True\), got CrossEntropyLoss"
    ):
        detector({}, use_mask=False)
    cfg = Config.fromfile(CONFIG)
    cfg.model.roi_head.bbox_head.type = "Shared2FCBBoxHead"
    with pytest.raises(
        ValueError, match="expects a box head with sample weighting, got Shared2FCBBoxHead"
    ):
        built(cfg, MODELS)


def test_each_stage_of_a_cascade_has_a_network_of_its_own():
    path = CONFIG.with_name("swn-adam_cascade-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py")
    heads = host.build(path).roi_head.bbox_head
    assert len({id(head.swn.predictor) for head in heads}) == 3


def test_a_mask_head_with_other_losses_is_refused():
    class Mean(torch.nn.Module):
        def forward(self, pred, *_):
            return pred.mean()

    model = detector({})
    model.roi_head.mask_head.loss_mask = Mean()
    with pytest.raises(
        ValueError, match=r"one loss for each of \d+ positives, got \(\) from FCNMaskHead"
    ):
        step(model)


def test_it_goes_into_a_hybrid_task_cascade():
    cfg = Config.fromfile(ROOT / "configs/detection/detecto_rs/htc_r50_fpn_8xb2-1x_coco.py")
    for head in cfg.model.roi_head.bbox_head:
        head.update(type="mmext.SWNShared2FCBBoxHead", swn={}, fc_out_channels=64)
    host.lessen(cfg.model)
    model = built(cfg, MODELS)
    data = model.data_preprocessor(host.batch(counts=(4, 3)), training=True)
    losses = model(**data, mode="loss")
    assert {
        f"s{stage}.loss_swn_{group}"
        for stage in range(3)
        for group in ("cls_pos", "cls_neg", "reg")
    } <= set(losses)
    model.parse_losses(losses)[0].backward()
    networks = [p for name, p in model.named_parameters() if ".swn." in name]
    assert networks
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in networks)
