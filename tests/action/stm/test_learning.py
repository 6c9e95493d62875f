"""A clip's class that no single frame tells: STM learns it, single frames cannot."""

import pytest
import torch
import torch.nn.functional as F

from mmext.action.stm.backbone import ResNetSTM

T, SIDE, STEPS = 8, 32, 60
MOVES = ((0, 4), (0, -4), (4, 0), (-4, 0))


def squares():
    """Eight clips of a square that goes round a torus in one of four directions, two a direction.

    A way and its reverse have the same frames in another order: single frames tell half of the
    clips at most.
    """
    clips = torch.zeros(8, T, 3, SIDE, SIDE)
    for number in range(8):
        dy, dx = MOVES[number % 4]
        start = 3 + 14 * (number // 4)
        for t in range(T):
            rows = (torch.arange(6) + start + dy * t) % SIDE
            columns = (torch.arange(6) + start + dx * t) % SIDE
            clips[number, t, :, rows[:, None], columns] = 1
    return clips.flatten(0, 1), torch.arange(8) % 4


def accuracy(**options):
    """Train on the eight clips and say how many are told right."""
    torch.manual_seed(0)
    net = ResNetSTM(14, base_channels=16, num_segments=T, norm_eval=False, **options)
    net.init_weights()
    head = torch.nn.Linear(512, 4)
    optimizer = torch.optim.AdamW([*net.parameters(), *head.parameters()], lr=2e-3)
    clips, labels = squares()

    def logits():
        return head(net(clips).mean((2, 3))).unflatten(0, (-1, T)).mean(1)

    net.train()
    for _ in range(STEPS):
        loss = F.cross_entropy(logits(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return (logits().argmax(1) == labels).float().mean().item()


@pytest.mark.slow
def test_it_learns_directions_that_single_frames_do_not_tell():
    assert accuracy() == 1
    assert accuracy(use_cstm=False, use_cmm=False) <= 0.5
