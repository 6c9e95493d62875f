"""The authors' formulas of GFL version 2, written as a slow loop over places, in probabilities."""

import torch


def oracle(cls_logit, distribution, weights, *, k=4, add_mean=True):
    """The authors' formula, place by place: probability of each class, (B, K, H, W)."""
    (w1, b1), (w2, b2) = weights
    B, _, _, H, W = distribution.shape
    rows = []
    for b, y, x in ((b, y, x) for b in range(B) for y in range(H) for x in range(W)):
        stats = []
        for side in range(4):
            e = [torch.exp(v) for v in distribution[b, side, :, y, x]]
            top = sorted((v / sum(e) for v in e), reverse=True)[:k]
            stats += [*top, sum(top) / k] if add_mean else top
        hidden = torch.relu(w1.flatten(1) @ torch.stack(stats) + b1)
        quality = torch.sigmoid(w2.flatten(1) @ hidden + b2)
        rows.append(torch.sigmoid(cls_logit[b, :, y, x]) * quality)
    return torch.stack(rows).unflatten(0, (B, H, W)).permute(0, 3, 1, 2)


def probability_qfl(p, target):
    """Eq. 2 of version 1 on probabilities, summed."""
    bce = -(target * p.log() + (1 - target) * (1 - p).log())
    return ((target - p).abs().square() * bce).sum()
