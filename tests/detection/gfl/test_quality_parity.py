"""Quality heads beside GFL's head and their hosts: the same numbers, the same checkpoints."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.runner.checkpoint import load_state_dict
from torch import nn
from torch.testing import assert_close

from mmext.detection.gfl.head import GFLHead
from mmext.detection.gfl.losses import integral
from mmext.detection.gfl.quality_atss import QualityATSSHead
from tests.detection.gfl.quality_scenes import (
    DFL,
    KINDS,
    SIZE,
    build,
    build_host,
    losses_of,
    maps,
    scene,
)
from tests.detection.gfl.scenes import STRIDES, feature_maps, host_cfg


class TestParity:
    def gfl(self, reg_max=6):
        """GFL's head with the weights of an ATSS head that predicts distributions."""
        torch.manual_seed(0)
        atss = QualityATSSHead(**host_cfg(), loss_dfl=DFL, reg_max=reg_max)
        atss.init_weights()
        gfl = GFLHead(**host_cfg(), reg_max=reg_max, avg_factor_floor="paper")
        renamed = {k.replace("atss_", "gfl_"): v for k, v in atss.state_dict().items()}
        report = gfl.load_state_dict(renamed, strict=False)
        assert report.missing_keys == ["integral.project"]
        assert not report.unexpected_keys
        return atss, gfl

    def test_atss_with_distributions_is_gfl(self):
        results = []
        for head in self.gfl():
            instances, metas = scene((4, 2))
            losses = losses_of(head, *head(feature_maps(2, *SIZE)), instances, metas)
            sum(losses.values()).backward()
            grads = {k.replace("atss_", "gfl_"): p.grad for k, p in head.named_parameters()}
            results.append((losses, grads))
        assert_close(*results, rtol=1e-4, atol=1e-6)

    def test_atss_with_distributions_predicts_as_gfl(self):
        atss, gfl = self.gfl()
        scores, boxes = maps(atss, 2, *SIZE)
        _, metas = scene((0, 0))
        for a, b in zip(
            *(h.predict_by_feat(scores, boxes, None, metas) for h in (atss, gfl)), strict=True
        ):
            assert len(a) > 0
            assert torch.equal(a.labels, b.labels)
            assert torch.equal(a.scores, b.scores)
            assert_close(a.bboxes, b.bboxes)

    def test_atss_with_gfl_s_boxes_coded_as_deltas_has_gfl_s_losses(self):
        """Only box coding keeps the two apart: the same boxes have the same labels and box loss."""
        _, gfl = self.gfl(reg_max=16)
        atss = build("atss")
        instances, metas = scene((4, 2))
        scores, logits = maps(gfl, 2, *SIZE)
        anchors = atss.prior_generator.grid_priors([s.shape[-2:] for s in scores], device="cpu")
        deltas = []
        for x, at, stride in zip(logits, anchors, STRIDES, strict=True):
            B, _, H, W = x.shape
            reach = stride * integral(x.detach().permute(0, 2, 3, 1).reshape(B, H * W, 4, 17))
            center = (at[:, :2] + at[:, 2:]) / 2
            boxes = torch.cat([center - reach[..., :2], center + reach[..., 2:]], -1)
            code = torch.stack([atss.bbox_coder.encode(at, image) for image in boxes])
            deltas.append(code.reshape(B, H, W, 4).permute(0, 3, 1, 2))
        mine = losses_of(atss, scores, deltas, instances, metas)
        theirs = losses_of(gfl, scores, logits, instances, metas)
        assert_close(mine["loss_cls"], theirs["loss_cls"], rtol=1e-5, atol=0)
        assert_close(mine["loss_bbox"], theirs["loss_bbox"], rtol=1e-5, atol=0)

    @pytest.mark.parametrize("kind", [name for name in KINDS if "dfl" not in name])
    @pytest.mark.parametrize("with_nms", [True, False])
    def test_predictions_are_the_host_s_at_centerness_one(self, kind, with_nms):
        ours, host = build(kind), build_host(kind)
        for head in (ours, host):
            head.test_cfg.score_thr = 0.2
        scores, boxes = maps(ours, 2, *SIZE)
        _, metas = scene((0, 0))
        sure = (
            None if kind.startswith("retina") else [torch.full_like(b[:, :1], 50.0) for b in boxes]
        )
        mine = ours.predict_by_feat(scores, boxes, None, metas, rescale=with_nms, with_nms=with_nms)
        theirs = host.predict_by_feat(
            scores, boxes, sure, metas, rescale=with_nms, with_nms=with_nms
        )
        for a, b in zip(mine, theirs, strict=True):
            assert len(a) > 0
            assert torch.equal(a.bboxes, b.bboxes)
            assert torch.equal(a.scores, b.scores)
            assert torch.equal(a.labels, b.labels)

    def test_fcos_predicts_from_distributions_what_it_predicts_from_their_means(self):
        dfl, plain = build("fcos-dfl"), build("fcos")
        scores, logits = maps(dfl, 2, *SIZE)
        means = []
        for x, stride in zip(logits, STRIDES, strict=True):
            B, _, H, W = x.shape
            means.append(
                stride * integral(x.permute(0, 2, 3, 1).reshape(B, H, W, 4, 13)).permute(0, 3, 1, 2)
            )
        _, metas = scene((0, 0))
        mine, theirs = (
            h.predict_by_feat(scores, b, None, metas) for h, b in ((dfl, logits), (plain, means))
        )
        for a, b in zip(mine, theirs, strict=True):
            assert len(a) > 0
            assert torch.equal(a.scores, b.scores)
            assert_close(a.bboxes, b.bboxes)

    @pytest.mark.parametrize("kind", KINDS)
    def test_forward_is_the_host_s_without_its_centerness(self, kind):
        ours, host = build(kind), build_host(kind)
        with torch.no_grad():
            for name, parameter in ours.named_parameters():
                other = dict(host.named_parameters())[name]
                if other.shape == parameter.shape:
                    other.copy_(parameter)
        for training in (True, False):
            features = feature_maps(2, *SIZE)
            mine, theirs = (head.train(training)(features) for head in (ours, host))
            assert len(mine) == 2
            assert_close(mine[0], theirs[0])
            if "dfl" not in kind:
                assert_close(mine[1], theirs[1])


class Detector(nn.Module):
    """Whatever holds the head: gives its keys the prefix that checkpoints have."""

    def __init__(self, head):
        super().__init__()
        self.bbox_head = head


class TestCheckpoints:
    @pytest.mark.parametrize("kind", [name for name in KINDS if "dfl" not in name])
    @pytest.mark.parametrize(
        "load", [nn.Module.load_state_dict, load_state_dict], ids=["torch", "mmengine"]
    )
    def test_the_host_s_checkpoint_loads_and_the_log_names_what_is_left_out(
        self, kind, load, caplog
    ):
        logger = MMLogger.get_instance("quality_heads")
        logger.addHandler(caplog.handler)
        ours, state = Detector(build(kind)), Detector(build_host(kind)).state_dict()
        before = dict(state)
        with caplog.at_level(logging.INFO, logger="quality_heads"):
            load(ours, state, strict=True)
        logger.removeHandler(caplog.handler)
        for name, value in ours.state_dict().items():
            assert torch.equal(value, before[name])
        assert state.keys() == before.keys()
        surplus = [name for name in before if name not in ours.state_dict()]
        assert all("centerness" in name for name in surplus)
        says = (
            f"{type(ours.bbox_head).__name__} has no centerness branch and leaves out "
            f"{', '.join(surplus)}"
        )
        said = [r.getMessage() for r in caplog.records if "no centerness branch" in r.getMessage()]
        assert said == ([says] if surplus else [])

    def test_an_old_fcos_checkpoint_loads(self):
        ours, host = Detector(build("fcos")), Detector(build_host("fcos"))
        old = {
            k.replace("conv_cls", "fcos_cls")
            .replace("conv_reg", "fcos_reg")
            .replace("conv_cent", "fcos_cent"): v
            for k, v in host.state_dict().items()
        }
        ours.load_state_dict(old, strict=True)
        assert torch.equal(ours.bbox_head.conv_cls.weight, host.bbox_head.conv_cls.weight)

    def test_other_surplus_keys_are_still_an_error(self):
        ours = Detector(build("atss"))
        with pytest.raises(RuntimeError, match="Unexpected key"):
            ours.load_state_dict({**ours.state_dict(), "bbox_head.reg_conf.weight": torch.zeros(1)})
