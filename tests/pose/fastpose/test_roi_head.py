"""MTNRoIHead: what each branch learns and says, whose checkpoints load, and what is refused."""

import copy

import pytest
import torch
from mmdet.models.roi_heads import CascadeRoIHead, DoubleHeadRoIHead, SparseRoIHead
from mmdet.registry import MODELS
from mmengine.registry import DefaultScope
from torch.testing import assert_close

from mmext.errors import BadInputError
from mmext.measure import host_waits
from mmext.pose.fastpose.branches import PoseBranches
from mmext.pose.fastpose.roi_head import MTNRoIHead
from tests.contract import pose
from tests.contract.parts import ROOT
from tests.pose.fastpose import nets

OURS = {"loss_keypoint", "loss_visibility", "loss_triplet", "loss_identity"}
MASK_RCNN = ROOT / "configs/_base_/models/mask_rcnn_r50_fpn.py"


@pytest.fixture(scope="module")
def model():
    return nets.detector(**nets.BRANCHES)


@pytest.fixture(scope="module")
def data():
    return pose.batch(counts=(3, 2))


def test_each_branch_gives_its_losses(model, data):
    found = nets.losses(model, data)
    assert found.keys() > OURS
    for name in OURS:
        assert found[name] > 0, name
    assert_close(found["loss_keypoint"], torch.tensor(112**2 / 4).log(), rtol=0.1, atol=0)


@pytest.mark.parametrize(
    ("left_out", "missing"),
    [
        (("keypoint_head", "visibility_head"), {"loss_keypoint", "loss_visibility"}),
        (("visibility_head",), {"loss_visibility"}),
        (("reid_head",), {"loss_triplet", "loss_identity"}),
        (tuple(nets.BRANCHES), OURS),
    ],
    ids=lambda value: "-".join(sorted(value)),
)
def test_every_branch_may_be_left_out(left_out, missing, data):
    branches = {key: value for key, value in nets.BRANCHES.items() if key not in left_out}
    model = nets.detector(**branches)
    assert OURS - nets.losses(model, data).keys() == missing
    (result, _) = nets.predicted(model, data)
    assert ("keypoints" in result) == ("keypoint_head" in branches)
    assert ("keypoints_visible" in result) == ("visibility_head" in branches)
    assert ("embeddings" in result) == ("reid_head" in branches)


def test_losses_and_boxes_are_the_hosts(model, data):
    """The same samples, the same numbers; branches beside it change neither."""
    cfg = nets.config()
    cfg.roi_head.type = "StandardRoIHead"
    host = nets.detector(cfg)
    host.load_state_dict(model.state_dict(), strict=False)
    theirs, ours = nets.losses(host, data), nets.losses(model, data)
    assert ours.keys() - theirs.keys() == OURS
    assert_close({name: ours[name] for name in theirs}, theirs, rtol=0, atol=0)
    for a, b in zip(nets.predicted(model, data), nets.predicted(host, data), strict=True):
        assert len(a) == 8
        assert_close((a.bboxes, a.scores, a.labels), (b.bboxes, b.scores, b.labels), rtol=0, atol=0)


def test_predictions_have_points_in_the_original_image(model, data):
    (result, _) = nets.predicted(model, data)
    n = len(result)
    assert result.keypoints.shape == (n, 17, 2)
    assert result.keypoint_scores.shape == result.keypoints_visible.shape == (n, 17)
    assert_close(result.embeddings.norm(dim=1), torch.ones(n))
    assert (result.keypoint_scores <= result.keypoints_visible).all()
    inside = (result.keypoints >= result.bboxes[:, None, :2] - 1e-3) & (
        result.keypoints <= result.bboxes[:, None, 2:] + 1e-3
    )
    assert inside.all()
    half = copy.deepcopy(data)
    for sample in half["data_samples"]:
        sample.set_metainfo(dict(scale_factor=(2.0, 0.5)))
    (scaled, _) = nets.predicted(model, half)
    factor = torch.tensor([2.0, 0.5])
    assert_close(scaled.keypoints, result.keypoints / factor)
    assert_close(scaled.bboxes, result.bboxes / factor.repeat(2))


@pytest.fixture(scope="module")
def with_masks():
    return nets.detector(nets.config(MASK_RCNN, **nets.BRANCHES))


def test_nobody_is_found(model, with_masks, data, monkeypatch):
    for one in (model, with_masks):
        monkeypatch.setitem(one.roi_head.test_cfg, "score_thr", 1.1)
        for result in nets.predicted(one, data):
            assert result.bboxes.shape == (0, 4)
            assert result.keypoints.shape == (0, 17, 2)
            assert result.keypoint_scores.shape == result.keypoints_visible.shape == (0, 17)
            assert result.embeddings.shape == (0, 8)


def test_tensor_mode_gives_what_each_branch_gives(model, data):
    with torch.no_grad():
        (outs,) = model(**model.data_preprocessor(copy.deepcopy(data)), mode="tensor")
    cls_score, bbox_pred, maps, visible, embeddings = outs
    assert len(cls_score) == len(bbox_pred) > 0
    n = min(len(cls_score), 100)
    assert (maps.shape, visible.shape, embeddings.shape) == ((n, 17, 28, 28), (n, 17), (n, 8))


def test_masks_stand_beside_points(with_masks, data):
    model = with_masks
    found = nets.losses(model, data)
    assert found.keys() >= OURS | {"loss_mask"}
    half = copy.deepcopy(data)
    for sample in half["data_samples"]:
        sample.set_metainfo(dict(scale_factor=(2.0, 2.0), ori_shape=(48, 64)))
    (one, _), (other, _) = nets.predicted(model, data), nets.predicted(model, half)
    assert other.masks.shape == (len(other), 48, 64)
    assert_close(other.keypoints, one.keypoints / 2)
    assert_close(other.bboxes, one.bboxes / 2)


def test_classes_without_points_have_none(data):
    model = nets.detector(**nets.BRANCHES, keypoint_classes=[3])
    assert not any(result.keypoint_scores.any() for result in nets.predicted(model, data))


@pytest.mark.parametrize("base", [nets.BASE, MASK_RCNN], ids=["faster", "mask"])
def test_checkpoints_of_the_host_load_for_what_they_share(base):
    """With the names of mmdet's own model of the same config."""
    cfg = nets.config(base)
    cfg.roi_head.type = "StandardRoIHead"
    theirs = nets.detector(cfg)
    ours = nets.detector(nets.config(base, **nets.BRANCHES))
    state = {name: torch.full_like(value, 7) for name, value in theirs.state_dict().items()}
    assert "roi_head.bbox_head.shared_fcs.0.weight" in state
    assert ("roi_head.mask_head.convs.0.conv.weight" in state) == (base == MASK_RCNN)
    left = ours.load_state_dict(state, strict=False)
    assert not left.unexpected_keys
    branches = tuple(f"roi_head.{name}." for name in nets.BRANCHES)
    assert left.missing_keys
    assert all(name.startswith(branches) for name in left.missing_keys)
    assert all((ours.state_dict()[name] == 7).all() for name in state)


def test_a_shared_head_comes_before_the_branches():
    """As in detectors without a pyramid, whose second stage begins with the last residual stage."""
    shared = dict(type="ResLayer", depth=18, stage=3, stride=2, norm_cfg=dict(type="BN"))
    extractor = dict(
        type="SingleRoIExtractor",
        roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0),
        out_channels=256,
        featmap_strides=[16],
    )
    with DefaultScope.overwrite_default_scope("mmdet"):
        head = MODELS.build(
            dict(
                type="mmext.MTNRoIHead",
                shared_head=shared,
                bbox_roi_extractor=extractor,
                bbox_head=dict(type="BBoxHead", with_avg_pool=True, in_channels=512, num_classes=1),
                **nets.BRANCHES,
            )
        )
    rois = torch.tensor([[0, 10.0, 10, 100, 100]])
    found = head._branches((torch.randn(1, 256, 14, 14),), rois)
    assert found["maps"].shape == (1, 17, 14, 14)
    assert found["embeddings"].shape == (1, 8)


def no_points(sample) -> None:
    sample.gt_instances.keypoints_visible[:] = 0


def one_identity(sample) -> None:
    sample.gt_instances.instances_ids[:] = 0


def no_identity(sample) -> None:
    sample.gt_instances.instances_ids[:] = -1


@pytest.mark.parametrize(
    ("change", "zero"),
    [
        (no_points, {"loss_keypoint", "loss_visibility"}),
        (one_identity, {"loss_triplet"}),
        (no_identity, {"loss_triplet", "loss_identity"}),
        (None, OURS),
    ],
    ids=["no-labelled-point", "one-identity", "no-identity", "no-person"],
)
def test_what_cannot_be_learnt_costs_nothing_and_reaches_every_parameter(model, change, zero):
    data = pose.batch(counts=(3, 2) if change else (0, 0))  # FP-4
    for sample in data["data_samples"] if change else ():
        change(sample)
    model.zero_grad(set_to_none=True)
    found = nets.losses(model, data)
    assert {name for name in OURS if found[name] == 0} == zero
    model.parse_losses(found)[0].backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_unlabelled_points_and_their_places_do_not_matter(model, data):
    moved = copy.deepcopy(data)
    for sample in moved["data_samples"]:
        hidden = sample.gt_instances.keypoints_visible == 0
        sample.gt_instances.keypoints[hidden] = torch.nan
    assert_close(nets.losses(model, moved), nets.losses(model, data), rtol=0, atol=0)


def test_the_branches_wait_for_a_gpu_no_more_than_the_host(model, data):
    waits = host_waits(lambda: model.parse_losses(nets.losses(model, data))[0].backward())
    assert waits
    assert not [wait for wait in waits if "/mmext/pose/" in wait.file]


def test_a_truth_without_points_is_refused(model, data):
    wrong = copy.deepcopy(data)
    del wrong["data_samples"][1].gt_instances.keypoints
    with pytest.raises(BadInputError, match=r"expects gt_instances with .* got none of keypoints;"):
        nets.losses(model, wrong)


def test_another_number_of_points_is_refused(model):
    with pytest.raises(BadInputError, match="expects 17 keypoints an object, got 15 of the data"):
        nets.losses(model, pose.batch(counts=(2,), num_keypoints=15))


def test_visibility_needs_keypoints():
    with pytest.raises(BadInputError, match=r"visibility_head looks at .* got none; add"):
        nets.detector(visibility_head=nets.VISIBILITY)


def test_a_branch_needs_features():
    with pytest.raises(BadInputError, match="got no bbox_roi_extractor; give it, or keypoint_roi"):
        MTNRoIHead(keypoint_head=nets.KEYPOINTS)


def test_another_second_stage_is_refused():
    """Whose boxes are tracked all the same, without poses."""
    cfg = nets.config(nets.CASCADE, **nets.BRANCHES)
    cfg.roi_head.type = "mmext.MTNRoIHead"
    with pytest.raises(
        BadInputError,
        match=r"of mmdet's StandardRoIHead, got num_stages, stage_loss_weights of another; "
        r"take .* mmext.MTNCascadeRoIHead for Cascade R-CNN",
    ):
        nets.detector(cfg)
    cfg = nets.config(**nets.BRANCHES)
    cfg.roi_head.type = "mmext.MTNCascadeRoIHead"
    with pytest.raises(BadInputError, match="CascadeRoIHead, got none of num_stages, stage_loss"):
        nets.detector(cfg)


class TestCascade:
    @pytest.fixture(scope="class")
    def cascade(self):
        return nets.detector(nets.config(nets.CASCADE, **nets.BRANCHES))

    @pytest.fixture(scope="class")
    def host(self, cascade):
        cfg = nets.config(nets.CASCADE)
        cfg.roi_head.type = "CascadeRoIHead"
        host = nets.detector(cfg)
        left = host.load_state_dict(cascade.state_dict(), strict=False)
        assert not left.missing_keys  # its checkpoints load the other way, too
        return host

    def test_losses_and_boxes_are_the_hosts(self, cascade, host, data):
        theirs, ours = nets.losses(host, data), nets.losses(cascade, data)
        assert len([name for name in theirs if name.endswith("loss_bbox")]) == 3
        assert ours.keys() - theirs.keys() == OURS
        assert_close({name: ours[name] for name in theirs}, theirs, rtol=0, atol=0)
        for a, b in zip(nets.predicted(cascade, data), nets.predicted(host, data), strict=True):
            assert len(a) == 8
            assert_close(
                (a.bboxes, a.scores, a.labels), (b.bboxes, b.scores, b.labels), rtol=0, atol=0
            )

    def test_the_branches_learn_from_the_last_stage(self, cascade, data, monkeypatch):
        """The same as heads that are given its samples."""
        stages, seen = [], []
        bbox_loss, pose_losses = CascadeRoIHead.bbox_loss, PoseBranches._pose_losses
        monkeypatch.setattr(
            CascadeRoIHead,
            "bbox_loss",
            lambda self, stage, x, sampling_results: (
                stages.append(sampling_results) or bbox_loss(self, stage, x, sampling_results)
            ),
        )
        monkeypatch.setattr(
            PoseBranches,
            "_pose_losses",
            lambda self, x, samples, truths: (
                seen.append(samples) or pose_losses(self, x, samples, truths)
            ),
        )
        nets.losses(cascade, data)
        assert len(stages) == 3
        assert seen[0] is stages[-1]
        assert "samples" not in vars(cascade.roi_head)  # nothing of a step is kept

    def test_points_lie_in_the_last_boxes(self, cascade, data):
        for result in nets.predicted(cascade, data):
            assert result.keypoints.shape == (len(result), 17, 2)
            low, high = result.bboxes[:, None, :2], result.bboxes[:, None, 2:]
            assert ((result.keypoints >= low - 1e-3) & (result.keypoints <= high + 1e-3)).all()
            assert_close(result.embeddings.norm(dim=1), torch.ones(len(result)))

    def test_tensor_mode_gives_what_each_branch_gives(self, cascade, data):
        with torch.no_grad():
            (outs,) = cascade(**cascade.data_preprocessor(copy.deepcopy(data)), mode="tensor")
        *_, maps, visible, embeddings = outs
        n = len(maps)
        assert (maps.shape[1:], visible.shape, embeddings.shape) == ((17, 28, 28), (n, 17), (n, 8))

    def test_an_extractor_a_stage(self, data):
        cfg = nets.config(nets.CASCADE, **nets.BRANCHES)
        cfg.roi_head.bbox_roi_extractor = [cfg.roi_head.bbox_roi_extractor] * 3
        assert nets.losses(nets.detector(cfg), data).keys() > OURS


def test_a_second_stage_without_samples_is_refused():
    class Sparse(PoseBranches, SparseRoIHead):
        pass

    with pytest.raises(BadInputError, match="whose bbox_loss gets sampling_results, got one with"):
        Sparse()


def test_any_other_second_stage_gets_branches_by_inheritance(data):
    """Double-Head R-CNN's, as an example."""

    class Double(PoseBranches, DoubleHeadRoIHead):
        pass

    cfg = nets.config(**nets.BRANCHES)
    cfg.roi_head.pop("type")
    head = dict(cfg.roi_head.bbox_head, type="DoubleConvFCBBoxHead", num_convs=1, num_fcs=1)
    cfg.roi_head.update(
        type=Double,
        reg_roi_scale_factor=1.3,
        bbox_head=dict(head, conv_out_channels=16, fc_out_channels=16),
    )
    model = nets.detector(cfg)
    assert nets.losses(model, data).keys() > OURS
    (result, _) = nets.predicted(model, data)
    assert result.keypoints.shape == (len(result), 17, 2)


def test_weights_of_bfloat16_learn_as_those_of_float32(model, data):
    """Weights themselves, not autocast: each branch trains, near what it is in float32."""
    expected = nets.losses(model, data)
    half = copy.deepcopy(model).bfloat16()
    half.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    seen = half.data_preprocessor(copy.deepcopy(data), training=True)
    seen["inputs"] = seen["inputs"].bfloat16()
    found = half(**seen, mode="loss")
    for name in OURS:
        assert_close(found[name], expected[name], rtol=0.1, atol=0.02)
    half.parse_losses(found)[0].backward()
    for name, parameter in half.roi_head.named_parameters():
        if parameter.requires_grad:
            assert parameter.dtype == parameter.grad.dtype == torch.bfloat16, name
            assert torch.isfinite(parameter.grad).all(), name
    half.eval()
    with torch.no_grad():
        (result, _) = [one.pred_instances for one in half(**seen, mode="predict")]
    assert_close(result.embeddings.norm(dim=1), torch.ones(len(result)))
    assert torch.isfinite(result.keypoints).all()
