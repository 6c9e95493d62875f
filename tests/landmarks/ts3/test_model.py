"""TS3 as a model: what each member is trained on, steps in turn, fusion, prediction."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from torch.testing import assert_close

from mmext.landmarks.samples import LandmarkSample
from mmext.landmarks.ts3 import model as ts3
from mmext.landmarks.ts3.optimizers import TS3OptimWrapperConstructor
from mmext.measure import bytes_kept_for_backward, host_waits
from tests.landmarks.ts3.faces import PAIRS, K, config, faces, model


def batch(labelled=2, pseudo=2, seed=0):
    """Preprocessed pictures and their samples, labelled ones first."""
    images, points = faces(8, seed)
    count = labelled + pseudo
    samples = []
    for number in range(count):
        sample = LandmarkSample(metainfo=dict(flip_pairs=PAIRS))
        sample.gt_keypoints = points[number].clone()
        sample.gt_visible = torch.ones(K)
        if number >= labelled:
            g = torch.Generator().manual_seed(number)
            sample.student_keypoints = points[number] + torch.randn(2, K, 2, generator=g)
            sample.student_weights = torch.rand(2, K, generator=g)
            sample.gt_keypoints = torch.zeros(K, 2)
            sample.gt_visible = torch.zeros(K)
        samples.append(sample)
    return images[:count].clone(), samples


class AsItIs(torch.nn.Module):
    def forward(self, data, training):
        return data


@pytest.fixture
def net():
    found = model()
    found.data_preprocessor = AsItIs()
    return found


def wrapper(net, lr=0.1, **more):
    cfg = dict(optimizer=dict(type="SGD", lr=lr), paramwise_cfg={}, **more)
    return TS3OptimWrapperConstructor(cfg)(net)


def test_each_student_is_trained_on_its_own_labels(net):
    inputs, samples = batch()
    for number, student in enumerate(net.students):
        losses, guess = net.student_loss(number, inputs, samples)
        points = torch.stack(
            [one.gt_keypoints for one in samples[:2]]
            + [one.student_keypoints[number] for one in samples[2:]]
        )
        weights = torch.cat(
            [torch.ones(2, K), torch.stack([one.student_weights[number] for one in samples[2:]])]
        )
        maps = student.maps(inputs)
        assert_close(losses, student.losses_of(maps, points, weights))
        assert_close(guess, student.codec.decode(maps[-1])[0])
        assert not guess.requires_grad


def test_the_teacher_learns_from_labelled_pictures_alone(net):
    inputs, samples = batch()
    guesses = [torch.rand(4, K, 2) * 64 for _ in range(2)]
    found = net.teacher_loss(inputs, samples, guesses)
    alone = net.teacher_loss(inputs[:2], samples[:2], [one[:2] for one in guesses])
    assert_close(found, alone)
    nothing = net.teacher_loss(inputs[2:], samples[2:], [one[2:] for one in guesses])
    assert nothing.item() == 0
    nothing.backward()
    assert all(p.grad is not None for p in net.teacher.parameters())


def test_a_step_is_one_plain_step_of_each_member_and_leaves_the_others_alone(net):
    inputs, samples = batch()
    twin = copy.deepcopy(net)
    logged = net.train_step(dict(inputs=inputs, data_samples=samples), wrapper(net))
    losses, guesses = {}, []
    for number, name in enumerate(ts3.MEMBERS[:2]):
        found, guess = twin.student_loss(number, inputs, samples)
        losses[name] = sum(found.values())
        guesses.append(guess)
    losses["teacher"] = twin.teacher_loss(inputs, samples, guesses)
    for name, loss in losses.items():
        member, trained = getattr(twin, name), getattr(net, name)
        grads = torch.autograd.grad(loss, list(member.parameters()))
        assert_close(logged[f"{name}.loss"], loss.detach())
        pairs = zip(trained.parameters(), member.parameters(), grads, strict=True)
        for after, before, grad in pairs:
            assert_close(after, before - 0.1 * grad, rtol=1e-4, atol=1e-6)
    assert_close(logged["loss"], sum(losses.values()).detach())


def test_a_step_waits_for_no_device_in_our_lines(net):
    inputs, samples = batch()
    data, optims = dict(inputs=inputs, data_samples=samples), wrapper(net)
    net.train_step(data, optims)  # what the first step alone does does not count
    found = [str(one) for one in host_waits(lambda: net.train_step(data, optims))]
    assert [one for one in found if "/mmext/" in one] == []


def test_a_step_in_half_precision_is_nearly_that_in_single(net):
    inputs, samples = batch()
    data, twin = dict(inputs=inputs, data_samples=samples), copy.deepcopy(net)
    exact = net.train_step(data, wrapper(net))
    found = twin.train_step(data, wrapper(twin, type="mmext.Bfloat16OptimWrapper"))
    assert all(value.dtype == torch.float32 for value in found.values())
    assert_close(found, exact, rtol=0.05, atol=0.01)
    assert any(found[name] != value for name, value in exact.items()), "it was not in half"
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in twin.parameters())


def test_members_step_in_turn_so_a_step_keeps_what_one_student_keeps(net):
    inputs, samples = batch(4, 0)
    both = bytes_kept_for_backward(lambda: net.loss(inputs, samples)["teacher.loss"])
    students = [
        bytes_kept_for_backward(lambda n=n: sum(net.student_loss(n, inputs, samples)[0].values()))
        for n in (0, 1)
    ]
    assert max(students) < 0.7 * both


def test_mode_loss_holds_all_members_and_reaches_every_parameter(net):
    inputs, samples = batch()
    total, logged = net.parse_losses(net(inputs, samples, mode="loss"))
    total.backward()
    assert all(p.grad is not None for p in net.parameters())
    assert {name.split(".")[0] for name in logged if name != "loss"} == set(ts3.MEMBERS)


def test_corruptions_follow_from_seed_and_iteration(net):
    inputs, samples = batch(4, 0)
    guesses = [torch.rand(4, K, 2) * 64 for _ in range(2)]
    hub = MessageHub.get_current_instance()

    def at(step):
        hub.update_info("iter", step)
        return net.teacher_loss(inputs, samples, guesses).item()

    assert at(3) == at(3)
    assert at(3) != at(4)
    first = at(3)
    net.seed = 1
    assert at(3) != first
    hub.update_info("iter", 0)


def test_maps_of_unlike_size_are_averaged_at_the_larger():
    small, large = torch.rand(2, K, 4, 4), torch.rand(2, K, 8, 8)
    found = ts3.fused(small, large)
    grown = F.interpolate(small, (8, 8), mode="bilinear", align_corners=False)
    assert_close(found, (grown + large) / 2)
    assert_close(ts3.fused(large, small), found)
    assert_close(ts3.fused(large, large), large)
    assert ts3.fused(small.bfloat16(), large.bfloat16()).dtype == torch.float32


def test_it_predicts_points_of_the_mean_or_of_one_student(net):
    net.eval()
    inputs, _ = batch(4, 0)
    matrix = torch.tensor([[2.0, 0, 1], [0, 2, 1]]).numpy()
    samples = [LandmarkSample(metainfo=dict(crop_matrix=matrix)) for _ in range(4)]
    first, second = (one.maps(inputs)[-1] for one in net.students)
    expected = net.students[1].codec.decode(ts3.fused(first, second))[0]
    found = net(inputs, copy.deepcopy(samples), mode="predict")
    for sample, points in zip(found, expected, strict=True):
        assert_close(sample.pred_keypoints, (points - 1) / 2)
    for name, student, maps in zip(ts3.MEMBERS, net.students, (first, second), strict=False):
        net.fuse = name
        found = net(inputs, copy.deepcopy(samples), mode="predict")
        assert_close(found[0].pred_keypoints, (student.codec.decode(maps)[0][0] - 1) / 2)


def test_what_it_says_of_pictures_is_what_its_members_say(net):
    net.eval()
    inputs, _ = batch(3, 0)
    found = net.judged(inputs)
    for s, student in enumerate(net.students):
        points, peaks = student.codec.decode(student.maps(inputs)[-1])
        assert_close(found["points"][:, s], points)
        assert_close(found["peaks"][:, s], peaks)
        assert_close(found["quality"][:, s], net.lesson.judged(net.teacher, inputs, points))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (dict(students=[config()["students"][0]]), "students expected two detectors, got 1"),
        (dict(score_mix=("teacher", "peek")), "score_mix expected some of .*did you mean 'peak'"),
        (dict(score_mix=()), "score_mix expected some of .* name one or more"),
        (dict(exchange="both"), "exchange must be one of .* got 'both'"),
        (dict(fuse="max"), "fuse must be one of .* got 'max'"),
    ],
)
def test_what_cannot_be_is_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        model(**wrong)


def test_students_of_unlike_crops_are_refused():
    first, second = config()["students"]
    second["codec"]["input_size"] = 128
    with pytest.raises(ValueError, match=r"students expected pictures of one size, got"):
        model(students=[first, second])


def test_an_hourglass_that_would_train_on_one_small_picture_says_so(net):
    inputs, samples = batch(1, 0)
    with pytest.raises(ValueError, match=r"expected two pictures a batch or more"):
        net(inputs, samples, mode="loss")
