"""The whole network learns eight stick figures by heart: boxes, points, visibility, identities."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from tests.pose.fastpose import nets

SIDE, FIGURES, ITERATIONS = 128, 8, 300
BONES = ((0, 1), (1, 2), (1, 3), (1, 4), (4, 5), (4, 6))
"""Head to neck, neck to hands and hip, hip to feet."""
SIGMA = 0.1


def figure(g: torch.Generator) -> Tensor:
    """Points (7, 2) of a figure somewhere in the picture."""
    size = torch.rand((), generator=g) * 24 + 56
    shape = torch.tensor(
        [[0.0, -0.5], [0, -0.3], [-0.3, -0.1], [0.3, -0.1], [0, 0.1], [-0.2, 0.5], [0.2, 0.5]]
    )
    points = (shape + torch.randn(7, 2, generator=g) * 0.05) * size
    low, high = points.amin(0), points.amax(0)
    room = SIDE - 16 - (high - low)
    return points - low + 8 + torch.rand(2, generator=g) * room


def line(one: Tensor, other: Tensor) -> Tensor:
    """Pixels within 1.5 px of a line."""
    y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    at, along = torch.stack([x, y], 2) - one, other - one
    share = ((at @ along) / along.square().sum()).clamp(0, 1)
    return (at - share[..., None] * along).norm(dim=2) < 1.5


def picture(number: int, g: torch.Generator) -> tuple[Tensor, DetDataSample]:
    """A figure on noise; one of its hands is labelled as hidden."""
    points = figure(g)
    image = torch.randint(0, 60, (3, SIDE, SIDE), generator=g).float()
    for bone, (one, other) in enumerate(BONES):
        colour = torch.tensor([255 * (bone >> bit & 1) for bit in range(3)])
        image[:, line(points[one], points[other])] = 80 + 0.6 * colour[:, None].float()
    box = torch.cat([points.amin(0) - 4, points.amax(0) + 4])
    visible = torch.full((1, 7), 2)
    visible[0, 2 + number % 2] = 1
    shape = (SIDE, SIDE)
    meta = dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0), img_id=number)
    sample = DetDataSample(metainfo=meta)
    sample.gt_instances = InstanceData(
        bboxes=box[None],
        labels=torch.zeros(1, dtype=torch.long),
        keypoints=points[None],
        keypoints_visible=visible,
        instances_ids=torch.tensor([number]),
    )
    sample.ignored_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
    )
    return image.byte(), sample


def average_precision(found: list[InstanceData], truth: list[InstanceData]) -> float:
    """Share of figures whose best detection has an OKS above .50, .55 … .95, on average."""
    oks = []
    for one, own in zip(found, truth, strict=True):
        if not len(one):
            oks.append(torch.tensor(0.0))
            continue
        width, height = (own.bboxes[0, 2:] - own.bboxes[0, :2]).tolist()
        square = (one.keypoints[0] - own.keypoints[0]).square().sum(1)
        oks.append((-square / (2 * width * height * (2 * SIGMA) ** 2)).exp().mean())
    thresholds = torch.arange(0.5, 1, 0.05)
    return float((torch.stack(oks)[:, None] > thresholds).float().mean())


@pytest.mark.slow
def test_eight_figures_are_learnt_by_heart():
    torch.set_num_threads(1)
    g = torch.Generator().manual_seed(0)
    pictures = [picture(number, g) for number in range(FIGURES)]
    data = dict(
        inputs=[image for image, _ in pictures], data_samples=[sample for _, sample in pictures]
    )
    cfg = nets.config(
        keypoint_head=dict(
            type="mmext.KeypointRCNNHead", num_keypoints=7, num_convs=2, conv_channels=64
        ),
        visibility_head=dict(type="mmext.VisibilityHead"),
        reid_head=dict(
            type="mmext.RoIReIDHead", num_ids=FIGURES, conv_channels=32, embed_channels=16
        ),
    )
    cfg.backbone.update(base_channels=16, norm_eval=False, frozen_stages=-1)
    cfg.neck.update(in_channels=[16, 32, 64, 128], out_channels=64)
    cfg.rpn_head.update(in_channels=64, feat_channels=64)
    cfg.roi_head.bbox_roi_extractor.out_channels = 64
    cfg.roi_head.bbox_head.update(in_channels=64, fc_out_channels=128)
    model = nets.detector(cfg)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, ITERATIONS)
    totals = []
    for _ in range(ITERATIONS):
        loss = model.parse_losses(nets.losses(model, data))[0]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        schedule.step()
        totals.append(float(loss.detach()))
    first, last = sum(totals[:5]) / 5, sum(totals[-5:]) / 5
    assert last <= 0.2 * first, (first, last)
    found = nets.predicted(model, data)
    assert average_precision(found, [sample.gt_instances for _, sample in pictures]) >= 0.5
    best = torch.stack([one.keypoints_visible[0] for one in found])
    hidden = torch.stack([sample.gt_instances.keypoints_visible[0] == 1 for _, sample in pictures])
    assert best[~hidden].mean() > 0.8
    assert best[hidden].mean() < 0.4
    embeddings = torch.stack([one.embeddings[0] for one in found])
    alike = (embeddings @ embeddings.T).fill_diagonal_(-1)
    assert alike.max() < 0.9
