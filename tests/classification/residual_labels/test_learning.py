"""What the idea does to small nets on real digits, in pairs: the same start, order and pictures.

All nets of a test are trained side by side, with a leading axis N for the nets: 64-128-128-10,
SGD .1 / .9, weight decay 5e-4, cosine to zero, batches of 32. Test: all digits that no net saw.
"""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from mmext.classification.residual_labels.residual import residual_label_loss, residual_labels
from mmext.data_checks.class_files import read_digits

SIZES, BATCH = (64, 128, 128, 10), 32


def cross_entropy(z, y, S):
    return F.cross_entropy(z, y)


def learnt(z, y, S):
    return sum(one.mean() for one in residual_label_loss(z, y, S, 0.3))


def uniform(z, y, S):
    return residual_label_loss(z, y, torch.zeros(10, 10), 1.0)[0].mean()


def from_errors(z, y, S):
    net, update = residual_label_loss(z, y, S, 1.0)
    wrong = (z.detach().argmax(1) != y).float()
    return net.mean() + (update * wrong).sum() / wrong.sum().clamp_min(1)


def starts(seeds):
    """Weights and biases of one net a seed, by PyTorch's own rule."""
    found = []
    for fan_in, fan_out in itertools.pairwise(SIZES):
        drawn = [
            torch.empty(fan_out, fan_in + 1).uniform_(generator=torch.Generator().manual_seed(s))
            for s in seeds
        ]
        found.append((torch.stack(drawn) * 2 - 1) / math.sqrt(fan_in))
    return found  # (N, out, in + 1), the last column the bias


def scores(layers, x):
    """Logits (N, B, 10) of pictures (N, B, 64)."""
    for i, layer in enumerate(layers):
        x = torch.baddbmm(layer[:, None, :, -1], x, layer[..., :-1].transpose(1, 2))
        x = x.relu() if i < len(layers) - 1 else x
    return x


def train(path, arms, *, pictures, epochs, seeds, flip=0.0):
    """Error and NLL (arms, seeds), and each net's matrix (arms, seeds, 10, 10)."""
    images, labels = (torch.from_numpy(one) for one in read_digits(str(path)))
    images, labels = images.flatten(1).float() / images.max(), labels.long()
    n = len(seeds)
    orders = [
        torch.randperm(len(images), generator=torch.Generator().manual_seed(s)) for s in seeds
    ]
    chosen = torch.stack([order[:pictures] for order in orders])
    x, y = images[chosen], labels[chosen]
    g = torch.Generator().manual_seed(1)
    y = torch.where(torch.rand(y.shape, generator=g) < flip, (y + 1) % 10, y)
    layers = [one.repeat(len(arms), 1, 1).requires_grad_() for one in starts(seeds)]
    S = torch.zeros(len(arms) * n, 10, 10, requires_grad=True)
    groups = [dict(params=layers, weight_decay=5e-4), dict(params=[S])]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    steps = epochs * (pictures // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        order = torch.rand(n, pictures, generator=g).argsort(1)
        for at in order.split(BATCH, 1):
            if at.shape[1] < BATCH:
                break
            rows = torch.arange(n)[:, None]
            z = scores(layers, x[rows, at].repeat(len(arms), 1, 1))
            target = y[rows, at]
            losses = [
                arm(z[a * n + i], target[i], S[a * n + i])
                for a, arm in enumerate(arms)
                for i in range(n)
            ]
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            optimizer.step()
            schedule.step()
    error, nll = torch.zeros(len(arms), n), torch.zeros(len(arms), n)
    with torch.no_grad():
        for i, order in enumerate(orders):
            rest = order[pictures:]
            mine = [layer.view(len(arms), n, *layer.shape[1:])[:, i] for layer in layers]
            z = scores(mine, images[rest].expand(len(arms), -1, -1))
            error[:, i] = (z.argmax(2) != labels[rest]).float().mean(1)
            nll[:, i] = torch.stack([F.cross_entropy(one, labels[rest]) for one in z])
    return 100 * error, nll, S.detach().view(len(arms), n, 10, 10)


@pytest.mark.slow
def test_few_clean_digits_are_told_apart_better_and_with_better_probabilities(digits):
    error, nll, _ = train(digits, [cross_entropy, learnt], pictures=200, epochs=80, seeds=range(8))
    assert nll[1].mean() <= 0.85 * nll[0].mean()
    assert error[0].mean() - error[1].mean() >= 0.5
    assert (nll[1] < nll[0]).sum() >= 7


@pytest.mark.slow
def test_where_labels_are_flipped_to_the_next_class_errors_teach_the_matrix(digits):
    error, _, matrices = train(
        digits, [uniform, from_errors], pictures=500, epochs=50, seeds=range(4), flip=0.3
    )
    assert error[1].mean() <= error[0].mean() - 5
    assert (error[1] < error[0]).all()
    for matrix in matrices[1]:
        # Row k peaks at the class whose pictures were relabelled k.
        peaks = residual_labels(matrix).argmax(1)
        assert (peaks == (torch.arange(10) - 1) % 10).sum() >= 8
