"""GFLv2Head: equal to the probability form, arguments, checkpoints, gradients.

Half precision and learning too.
"""

import copy
import logging

import pytest
import torch
from mmdet.models.dense_heads import LDHead
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.logging import MMLogger
from mmengine.runner import load_checkpoint
from torch import nn
from torch.testing import assert_close

from mmext.detection.gfl.head import GFLHead
from mmext.detection.gfl.v2 import GFLv2Head, top_probabilities
from mmext.engine.checkpoint import check_fits
from mmext.measure import bytes_kept_for_backward, flops
from tests.detection.gfl.scenes import HOST_LOSSES, feature_maps, ground_truth, head_pair, host_cfg
from tests.detection.gfl.v2_oracle import oracle

SIZE = (256, 320)


def total(losses):
    """The sum of a head's losses, each a list."""
    return sum(sum(parts) for parts in losses.values())


def v2_head(seed=0, **kwargs):
    torch.manual_seed(seed)
    head = GFLv2Head(**host_cfg(), **kwargs)
    head.init_weights()
    return head


def wider(head, std=1.0):
    """Weights at which no term is negligible: initialised ones give a quality of 0.5 everywhere."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in head.reg_conf.parameters():
            parameter.normal_(0, std)
        head.gfl_cls.weight.mul_(30)
        head.gfl_reg.weight.mul_(100)
    return head


def oracle_of(head, x, scale):
    """The oracle on the head's own class logits, distributions and predictor."""
    c, bbox_pred = GFLHead.forward_single(head, x, scale)
    weights = [(layer.weight, layer.bias) for layer in (head.reg_conf[0], head.reg_conf[2])]
    return oracle(
        c, bbox_pred.unflatten(1, (4, 17)), weights, k=head.reg_topk, add_mean=head.add_mean
    )


class TestProbabilityForm:
    @pytest.mark.parametrize("add_mean", [True, False])
    def test_the_head_s_scores_are_the_oracle_s(self, add_mean):
        head = wider(v2_head(add_mean=add_mean))
        x = feature_maps(2, 32, 48)[0]
        z, bbox_pred = head.forward_single(x, head.scales[0])
        expected = oracle_of(head, x, head.scales[0])
        assert expected.std() > 0.02  # else a constant would pass
        assert_close(z.sigmoid(), expected, rtol=1e-4, atol=1e-6)
        assert_close(bbox_pred, GFLHead.forward_single(head, x, head.scales[0])[1], rtol=0, atol=0)

    def test_predictions_are_those_of_the_probabilities(self):
        head = wider(v2_head())
        maps = feature_maps(1, 64, 64)
        metas = ground_truth((0,), 64, 64)[1]
        (result,) = head.predict_by_feat(*head(maps), None, metas, with_nms=False)
        levels = [oracle_of(head, x, scale) for x, scale in zip(maps, head.scales, strict=True)]
        p = torch.cat([level[0].flatten(1).T for level in levels])  # (places, K)
        place, label = (p > head.test_cfg.score_thr).nonzero(as_tuple=True)
        assert 20 < len(place) < p.numel() / 2
        for mine, expected in ((result.scores, p[place, label]), (result.labels, label)):
            assert_close(mine.sort().values, expected.sort().values, rtol=1e-4, atol=0)


class TestArguments:
    @pytest.mark.parametrize("k", [0, 18, -4])
    def test_a_number_of_bins_that_does_not_exist_is_refused(self, k):
        with pytest.raises(
            ValueError, match=f"reg_topk must be within 1 and 17 .* got {k}; the paper uses 4"
        ):
            GFLv2Head(**host_cfg(), reg_topk=k)

    def test_the_limit_follows_reg_max(self):
        assert GFLv2Head(**host_cfg(), reg_topk=4, reg_max=3).reg_conf[0].in_channels == 20
        with pytest.raises(ValueError, match=r"reg_topk must be within 1 and 4 .* got 5"):
            GFLv2Head(**host_cfg(), reg_topk=5, reg_max=3)

    def test_no_hidden_channel_is_refused(self):
        with pytest.raises(ValueError, match="reg_channels must be at least 1, got 0"):
            GFLv2Head(**host_cfg(), reg_channels=0)

    def test_the_predictor_has_the_paper_s_size_and_start(self):
        head = v2_head()
        assert sum(p.numel() for p in head.reg_conf.parameters()) == 1409
        weights = torch.cat([head.reg_conf[i].weight.flatten() for i in (0, 2)])
        assert weights.std().item() == pytest.approx(0.01, rel=0.1)
        assert head.reg_conf[0].bias.eq(0).all()
        assert head.reg_conf[2].bias.eq(0).all()
        score = torch.cat([s.sigmoid().flatten() for s in head(feature_maps(1, *SIZE))[0]])
        assert score.mean().item() == pytest.approx(0.01 * 0.5, rel=0.1)

    def test_the_authors_loss_setting_is_refused_with_a_sentence(self):
        with pytest.raises(ValueError, match="use_sigmoid must be True"):
            GFLv2Head(**host_cfg(), loss_cls=dict(type="mmext.QualityFocalLoss", use_sigmoid=False))


def authors_keys(stacked_convs, levels):
    """State-dict keys of the authors' head, written down from their code."""
    towers = [
        f"{tower}_convs.{i}.{key}"
        for tower in ("cls", "reg")
        for i in range(stacked_convs)
        for key in ("conv.weight", "gn.weight", "gn.bias")
    ]
    outputs = [f"{name}.{key}" for name in ("gfl_cls", "gfl_reg") for key in ("weight", "bias")]
    predictor = [f"reg_conf.{i}.{key}" for i in (0, 2) for key in ("weight", "bias")]
    return {
        *towers,
        *outputs,
        *predictor,
        "integral.project",
        *(f"scales.{i}.scale" for i in range(levels)),
    }


class TestCheckpoints:
    @pytest.mark.parametrize("version_1", [0, 1], ids=["mmext", "mmdet"])
    def test_version_1_loads_with_only_the_predictor_missing(self, version_1):
        source = head_pair(seed=3)[version_1]
        head = v2_head()
        missing, unexpected = head.load_state_dict(source.state_dict(), strict=False)
        assert missing == [f"reg_conf.{i}.{key}" for i in (0, 2) for key in ("weight", "bias")]
        assert unexpected == []
        maps = feature_maps(2, *SIZE)
        with torch.no_grad():
            (scores, boxes), (old_scores, old_boxes) = head(maps), source(maps)
        assert_close(boxes, old_boxes, rtol=0, atol=0)
        for z, c in zip(scores, old_scores, strict=True):
            ratio = z.sigmoid() / c.sigmoid()  # the quality: one value for all classes of a place
            assert_close(ratio, ratio[:, :1].expand_as(ratio))

    def test_the_authors_checkpoint_loads_whole(self, tmp_path, caplog):
        """Theirs has a row for the background, since their loss is on probabilities."""
        expected = v2_head(seed=5)
        state = expected.state_dict()
        assert set(state) == authors_keys(stacked_convs=1, levels=5)
        assert state["reg_conf.0.weight"].shape == (64, 20, 1, 1)
        assert state["reg_conf.2.weight"].shape == (1, 64, 1, 1)
        for name in ("gfl_cls.weight", "gfl_cls.bias"):
            state[name] = torch.cat([state[name], torch.full_like(state[name][:1], 9.0)])
        file = tmp_path / "gfocal_r50_fpn_1x.pth"
        torch.save(
            dict(meta={}, state_dict={f"bbox_head.{key}": v for key, v in state.items()}), file
        )
        head = v2_head(seed=6)
        logger = MMLogger.get_instance("authors")
        logger.addHandler(caplog.handler)
        with caplog.at_level(logging.WARNING, logger="authors"):
            load_checkpoint(head, str(file), strict=True, revise_keys=[(r"^bbox_head\.", "")])
        assert [r.getMessage() for r in caplog.records if "5 classes for 4" in r.getMessage()]
        assert len(caplog.records) == 1
        check_fits(file, nn.ModuleDict(dict(bbox_head=head)))  # what tools/test.py asks first
        maps = feature_maps(1, *SIZE)
        assert_close(head(maps), expected(maps), rtol=0, atol=0)


class TestGradients:
    def losses(self, head, counts=(5, 3), maps=None):
        instances, metas = ground_truth(counts, *SIZE)
        maps = feature_maps(len(counts), *SIZE) if maps is None else maps
        return head.loss_by_feat(*head(maps), copy.deepcopy(instances), metas)

    @pytest.mark.parametrize("counts", [(0, 0), (0,), (3,)])
    @pytest.mark.parametrize("detach_stats", [False, True])
    def test_every_parameter_gets_one(self, counts, detach_stats):
        head = v2_head(detach_stats=detach_stats)
        out = self.losses(head, counts)
        total(out).backward()
        for name, parameter in head.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
        assert head.reg_conf[2].bias.grad.abs() > 0

    @pytest.mark.parametrize("detach_stats", [False, True])
    def test_the_class_loss_shapes_the_distributions_unless_detached(self, detach_stats):
        head = wider(v2_head(detach_stats=detach_stats))
        sum(self.losses(head)["loss_cls"]).backward()
        touched = head.gfl_reg.weight.grad is not None and bool(
            head.gfl_reg.weight.grad.abs().sum() > 0
        )
        assert touched is not detach_stats
        assert head.reg_conf[0].weight.grad.abs().sum() > 0

    def test_detaching_changes_no_value(self):
        a, b = (wider(v2_head(detach_stats=flag)) for flag in (False, True))
        assert_close(self.losses(a), self.losses(b), rtol=0, atol=0)


class TestDistillation:
    def test_it_teaches_mmdet_s_ld_head(self):
        teacher = wider(v2_head())
        student = LDHead(
            **host_cfg(),
            **HOST_LOSSES,
            loss_ld=dict(type="mmdet.KnowledgeDistillationKLDivLoss", loss_weight=0.25, T=10),
        )
        student.load_state_dict(teacher.state_dict(), strict=False)
        instances, metas = ground_truth((5, 3), *SIZE)
        samples = [
            DetDataSample(metainfo=meta, gt_instances=truth)
            for meta, truth in zip(metas, instances, strict=True)
        ]
        maps = feature_maps(2, *SIZE)
        with torch.no_grad():
            soft = teacher(maps)
            same = sum(student.loss(maps, soft, samples)["loss_ld"])
            student.gfl_reg.weight.mul_(0.5)
            other = sum(student.loss(maps, soft, samples)["loss_ld"])
        assert other > 1e-4 > 100 * abs(same)


class TestHalfPrecision:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_autocast_leaves_the_predictor_alone(self, dtype):
        head = wider(v2_head())
        bbox_pred = 3 * torch.randn(2, 68, 8, 8, generator=torch.Generator().manual_seed(0))
        exact = head._quality_logit(bbox_pred)
        with torch.autocast("cpu", dtype=dtype):
            assert_close(head._quality_logit(bbox_pred), exact, rtol=0, atol=0)
            # The witness: run as they stand, the two convolutions lose digits.
            top = top_probabilities(bbox_pred.unflatten(1, (4, 17)), 4)
            stats = torch.cat([top, top.mean(2, keepdim=True)], 2).flatten(1, 2)
            assert (head.reg_conf(stats) - exact).abs().max() > 1e-3

    def test_joint_logits_in_bf16_are_near_and_float32(self):
        head = wider(v2_head())
        maps = feature_maps(2, *SIZE)
        exact, _ = head(maps)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half, boxes = head(maps)
        for a, b, box in zip(exact, half, boxes, strict=True):
            assert b.dtype == box.dtype == torch.float32
            assert (a.sigmoid() - b.sigmoid()).abs().max() < 0.02

    def test_a_head_cast_to_half_runs(self):
        head = v2_head().bfloat16()
        scores, _ = head(tuple(x.bfloat16() for x in feature_maps(1, *SIZE)))
        assert all(torch.isfinite(s).all() and s.dtype == torch.float32 for s in scores)


class TestLean:
    """Of the paper's head, on one small level: the shares do not depend on the level's size."""

    def pair(self):
        heads = [cls(num_classes=80, in_channels=256) for cls in (GFLv2Head, GFLHead)]
        return heads, torch.randn(1, 256, 20, 20, requires_grad=True)

    def test_the_predictor_adds_a_thousandth_to_the_operations(self):
        (ours, version_1), x = self.pair()
        counts = [flops(lambda h=h: h.forward_single(x, h.scales[0])) for h in (ours, version_1)]
        assert counts[1] < counts[0] < 1.001 * counts[1]

    def test_and_little_to_the_bytes_kept_for_backward(self):
        (ours, version_1), x = self.pair()

        def kept(head):
            weights = sum(p.nbytes for p in head.parameters())
            return bytes_kept_for_backward(lambda: head.forward_single(x, head.scales[0])) - weights

        assert kept(ours) < 1.07 * kept(version_1)


def rank_correlation(a, b):
    """Spearman's, without ties."""
    ranks = torch.stack([v.argsort().argsort().double() for v in (a, b)])
    return torch.corrcoef(ranks)[0, 1].item()


@pytest.mark.slow
def test_two_images_are_learnt_by_heart_and_scores_come_to_rank_boxes():
    head = v2_head(avg_factor_floor="paper")
    head.test_cfg.update(score_thr=0.0, nms_pre=-1)
    instances, metas = ground_truth((4, 3), *SIZE)
    maps = feature_maps(2, *SIZE)

    @torch.no_grad()
    def ranking():
        """How well the 100 highest scores of all places and classes sort them by IoU."""
        scores, ious = [], []
        for result, truth in zip(
            head.predict_by_feat(*head(maps), None, metas, with_nms=False), instances, strict=True
        ):
            right = result.labels[:, None] == truth.labels
            ious.append((bbox_overlaps(result.bboxes, truth.bboxes) * right).amax(1))
            scores.append(result.scores)
        score, top = torch.cat(scores).topk(100)
        return rank_correlation(score, torch.cat(ious)[top])

    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    before, losses = ranking(), []
    for _ in range(200):
        loss = total(head.loss_by_feat(*head(maps), copy.deepcopy(instances), metas))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 5 * losses[-1]
    assert before < 0.4
    assert ranking() > 0.6
