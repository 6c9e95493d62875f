"""PatchTeacher, what it is shown, and that a lesson makes it judge labels that it has not seen."""

import pytest
import torch
from torch.testing import assert_close

from mmext.landmarks.ts3 import PatchTeacher, scores
from mmext.landmarks.ts3.corruptions import mean_error
from mmext.landmarks.ts3.lesson import Lesson
from mmext.landmarks.ts3.teacher import drawn, shown
from tests.landmarks.ts3.faces import SIDE, K, faces


def test_it_has_the_papers_parameters_and_patches():
    teacher = PatchTeacher(in_channels=3 + 68)
    assert sum(p.numel() for p in teacher.parameters()) == 2_834_369
    assert teacher(torch.zeros(1, 71, 64, 64)).shape == (1, 1, 6, 6)
    assert teacher(torch.zeros(1, 71, 256, 256)).shape == (1, 1, 30, 30)
    assert teacher(torch.zeros(1, 71, 24, 24)).shape == (1, 1, 1, 1)
    with pytest.raises(ValueError, match=r"sides of 24 pixels or more, got 23 x 30; raise"):
        teacher(torch.zeros(1, 71, 23, 30))


def test_landmarks_are_drawn_where_they_are_at_every_size():
    points = torch.tensor([[[10.0, 20.0], [47.5, 30.0]]])
    for size in ((64, 64), (32, 48), (128, 128)):
        maps = drawn(points, input_size=(64, 64), size=size, sigma=3.0, like=points)
        for k, (x, y) in enumerate(points[0].tolist()):
            # a loop over cells, whose centres are spread over the input
            for row in range(0, size[0], 7):
                for column in range(0, size[1], 5):
                    dx = column - ((x + 0.5) * size[1] / 64 - 0.5)
                    dy = row - ((y + 0.5) * size[0] / 64 - 0.5)
                    expected = torch.exp(torch.tensor(-(dx * dx + dy * dy) / 18))
                    assert_close(maps[0, k, row, column], expected)


def test_it_sees_picture_and_landmarks_at_its_own_size():
    images, points = faces(2, 0)
    found = shown(images, points, size=32, sigma=0.03)
    assert found.shape == (2, 3 + K, 32, 32)
    assert_close(found[:, :3].mean((2, 3)), images.mean((2, 3)), atol=0.02, rtol=0)
    same = shown(images, points, size=SIDE, sigma=0.03)
    assert same[:, :3].equal(images)
    wide = shown(images[..., :32, :], points, size=32, sigma=0.03)
    assert wide.shape == (2, 3 + K, 16, 32)


def taught(lesson, iterations, seed=0, labels=24, width=16):
    """A teacher after so many lessons on labelled faces; students' labels are noise about them."""
    torch.manual_seed(seed)
    teacher = PatchTeacher(3 + K, width=width)
    adam = torch.optim.Adam(teacher.parameters(), 2e-3)
    images, points = faces(labels, seed)
    g = torch.Generator().manual_seed(seed)
    for _ in range(iterations):
        rows = torch.randint(labels, (8,), generator=g)
        guesses = points[rows, None] + torch.randn(8, 2, K, 2, generator=g) * 2
        loss = lesson.loss(
            teacher, images[rows], points[rows], torch.ones(8, K), guesses, generator=g
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
    return teacher.eval()


def judgement(lesson, teacher, seed=100):
    """Rank correlation with errors on new faces whose points err together, and what is left of
    the mean error in the better half."""
    images, points = faces(120, seed)
    g = torch.Generator().manual_seed(seed)
    size = torch.rand(120, 1, 1, generator=g) * 8
    common = torch.randn(120, 1, 2, generator=g) + torch.randn(120, K, 2, generator=g)
    labels = points + size * common
    error = mean_error(labels, points, torch.ones(120, K), side=float(SIDE))
    with torch.no_grad():
        judged = lesson.judged(teacher, images, labels)
    kept = scores.best(judged[:, None].repeat(1, 2), 0.5)[:, 0]
    return float(scores.spearman(judged, -error)), float(error[kept].mean() / error.mean())


@pytest.mark.parametrize("objective", ["quality", "rank"])
def test_lessons_teach_what_a_label_is_worth(objective):
    lesson = Lesson(objective, size=32)
    before, _ = judgement(lesson, taught(lesson, 0))
    after, left = judgement(lesson, taught(lesson, 100))
    assert abs(before) < 0.4
    assert after > 0.5
    assert left < 0.8


def loss_of(lesson, visible, seed=0, truth=None):
    images, points = faces(3, 0)
    torch.manual_seed(0)
    teacher = PatchTeacher(3 + K, width=4)
    g = torch.Generator().manual_seed(seed)
    guesses = points[:, None] + torch.randn(3, 2, K, 2, generator=g)
    truth = points if truth is None else truth
    return lesson.loss(teacher, images, truth, visible, guesses, generator=g), teacher


@pytest.mark.parametrize("objective", ["quality", "rank", "lsgan"])
def test_what_is_not_labelled_changes_nothing(objective):
    lesson = Lesson(objective, size=32)
    visible = torch.ones(3, K)
    visible[:, 2] = 0
    visible[1] = 0  # a face without any label
    _, points = faces(3, 0)
    hidden = points.masked_fill(visible[..., None] == 0, float("nan"))
    known, _ = loss_of(lesson, visible)
    found, _ = loss_of(lesson, visible, truth=hidden)
    assert found.isfinite()
    assert_close(found, known)
    found.backward()


def test_a_batch_without_labels_has_a_loss_of_nothing_with_a_graph():
    loss, teacher = loss_of(Lesson(size=32), torch.zeros(3, K))
    assert loss.item() == 0
    loss.backward()
    assert all(p.grad is not None for p in teacher.parameters())


def test_lsgan_counts_people_and_students_alike():
    class Constant(torch.nn.Module):
        def forward(self, x):
            return x.new_full((len(x), 1, 2, 2), self.value)

    images, points = faces(4, 0)
    guesses = points[:, None].repeat(1, 2, 1, 1)
    teacher, g = Constant(), torch.Generator()
    for teacher.value in (0.0, 0.3, 1.0):
        loss = Lesson("lsgan", size=32).loss(
            teacher, images, points, torch.ones(4, K), guesses, generator=g
        )
        t = teacher.value
        assert loss.item() == pytest.approx(((t - 1) ** 2 + t**2) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (dict(objective="qualiti"), "objective must be one of .*did you mean 'quality'"),
        (dict(tau=0.0), "tau and sigma must be above 0, got 0.0"),
    ],
)
def test_what_cannot_be_is_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        Lesson(**wrong)
