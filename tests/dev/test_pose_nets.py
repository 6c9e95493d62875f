"""What FastPose's keypoint branch is compared with: the mean pose is one."""

import torch
from torch.testing import assert_close

from dev.evidence.pose_nets import MeanPoseHead


def scene(n=5, k=3):
    """Boxes (N, 4), points (N, K, 2) in them, and which are labelled: not all, nor alike."""
    g = torch.Generator().manual_seed(0)
    corner = torch.rand(n, 2, generator=g) * 50
    boxes = torch.cat([corner, corner + 10 + torch.rand(n, 2, generator=g) * 40], 1)
    points = corner[:, None] + torch.rand(n, k, 2, generator=g) * 10
    return boxes, points, torch.rand(n, k, generator=g) > 0.4


def test_the_mean_is_that_of_a_loop_over_several_batches():
    head = MeanPoseHead(3)
    boxes, points, labelled = scene()
    points[~labelled] = torch.nan  # where nobody said anything
    for part in (slice(0, 2), slice(2, 5), slice(0, 0)):
        maps, _ = head(torch.zeros(len(boxes[part]), 8, 14, 14))
        loss = head.loss_by_feat(maps, points[part], labelled[part], boxes[part])
        assert loss["loss_keypoint"] == 0
    target = torch.tensor([[10.0, 20, 30, 60]])
    found, scores = head.predict_by_feat(head(torch.zeros(1, 8, 14, 14))[0], target)
    for k in range(3):
        own = [
            (points[n, k] - boxes[n, :2]) / (boxes[n, 2:] - boxes[n, :2])
            for n in range(5)
            if labelled[n, k]
        ]
        assert_close(
            found[0, k], torch.tensor([10.0, 20]) + torch.tensor([20.0, 40]) * sum(own) / len(own)
        )
    assert_close(scores, torch.ones(1, 3))


def test_a_checkpoint_has_the_mean():
    boxes, points, labelled = scene()
    head, other = MeanPoseHead(3), MeanPoseHead(3)
    head.loss_by_feat(head(torch.zeros(5, 8, 14, 14))[0], points, labelled, boxes)
    other.load_state_dict(head.state_dict())
    maps, _ = other(torch.zeros(5, 8, 14, 14))
    assert_close(other.predict_by_feat(maps, boxes), head.predict_by_feat(maps, boxes))
    assert not list(head.parameters())
