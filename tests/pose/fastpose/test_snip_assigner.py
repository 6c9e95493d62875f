"""SNIPAssigner: an ignored object takes nothing from those beside it."""

import pytest
import torch
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmengine.structures import InstanceData

from mmext.pose.fastpose.snip_assigner import SNIPAssigner

VALID = [20.0, 20, 40, 60]
IGNORED = [10.0, 10, 110, 110]
FAR = [200.0, 200, 240, 240]
STOCK = dict(match_low_quality=False, iou_calculator=dict(type="mmdet.BboxOverlaps2D"))


def assigned(assigner, priors, *, valid=(VALID,), ignored=(IGNORED,)):
    result = assigner.assign(
        InstanceData(priors=torch.tensor(priors)),
        InstanceData(
            bboxes=torch.tensor(valid).reshape(-1, 4),
            labels=torch.zeros(len(valid), dtype=torch.long),
        ),
        InstanceData(bboxes=torch.tensor(ignored).reshape(-1, 4)),
    )
    return result.gt_inds.tolist(), result.labels.tolist()


def test_a_prior_of_a_valid_object_inside_an_ignored_one_is_positive():
    priors = [VALID, IGNORED, FAR]  # FP-3
    stock = MaxIoUAssigner(0.5, 0.5, ignore_iof_thr=0.5, **STOCK)
    assert assigned(stock, priors)[0] == [-1, -1, 0], "the host has changed"
    assert assigned(SNIPAssigner(match_low_quality=False), priors) == ([1, -1, 0], [0, -1, -1])


def test_without_ignored_objects_it_is_the_hosts():
    g = torch.Generator().manual_seed(0)
    corner = torch.rand(200, 2, generator=g) * 60
    priors = torch.cat([corner, corner + torch.rand(200, 2, generator=g) * 60], 1).tolist()
    options = {**STOCK, **dict(match_low_quality=True, min_pos_iou=0.3)}
    host = MaxIoUAssigner(0.7, 0.3, **options)
    ours = SNIPAssigner(0.7, 0.3, ignore_iou_thr=0.3, **options)
    assert assigned(ours, priors, ignored=()) == assigned(host, priors, ignored=())
    assert 1 in assigned(ours, priors, ignored=())[0]
    # With one, the positives stay and some of the rest is ignored.
    before = assigned(host, priors, ignored=())[0]
    after = assigned(ours, priors, ignored=[[30.0, 30, 90, 90]])[0]
    assert [one for one in before if one > 0] == [one for one in after if one > 0]
    assert after.count(-1) > before.count(-1)


@pytest.mark.parametrize(("threshold", "expected"), [(0.3, -1), (0.5, 0)])
def test_the_threshold_is_an_iou(threshold, expected):
    prior = [10.0, 10, 110, 50]  # 0.4 of the ignored object, and wholly inside
    assigner = SNIPAssigner(ignore_iou_thr=threshold, match_low_quality=False)
    assert assigned(assigner, [prior], valid=[FAR])[0] == [expected]


def test_without_objects_that_count_ignored_ones_still_are():
    assert assigned(SNIPAssigner(match_low_quality=False), [VALID, IGNORED, FAR], valid=()) == (
        [0, -1, 0],
        [-1, -1, -1],
    )


def test_without_priors_there_is_nothing():
    result = SNIPAssigner().assign(
        InstanceData(priors=torch.zeros(0, 4)),
        InstanceData(bboxes=torch.tensor([VALID]), labels=torch.tensor([0])),
        InstanceData(bboxes=torch.tensor([IGNORED])),
    )
    assert result.gt_inds.shape == (0,)
