"""Which pictures a batch holds, what chance gives them, and labels in crops."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset
from torch.testing import assert_close

from mmext.landmarks.geometry import composed, mirrored
from mmext.landmarks.samples import LandmarkSample
from mmext.landmarks.ts3 import batches
from mmext.landmarks.ts3.batches import RoundSampler
from mmext.landmarks.ts3.labelling import Labelling, Predicted
from mmext.registry import DATASETS
from tests.landmarks.ts3 import rig
from tests.landmarks.ts3.faces import K


def drawn(labelled, pseudo, size=4, share=0.25, first=0, last=12, **group):
    return list(
        RoundSampler(labelled, pseudo, size, share, (3, 1), first=first, last=last, **group)
    )


def test_a_run_that_goes_on_gets_the_batches_that_it_would_have_got():
    assert drawn(7, 5)[5:] == drawn(7, 5, first=5)
    assert len(RoundSampler(7, 5, 4, 0.25, (3, 1), first=5, last=12)) == 7
    assert drawn(7, 5) != list(RoundSampler(7, 5, 4, 0.25, (3, 2), first=0, last=12))


@pytest.mark.parametrize(("share", "pseudo"), [(0.25, 1), (0.5, 2), (0.01, 1), (0.99, 3)])
def test_the_share_of_a_batch_is_kept_and_a_labelled_picture_is_in_each(share, pseudo):
    for batch in drawn(7, 5, share=share):
        numbers = [number for number, _ in batch]
        assert sum(number >= 7 for number in numbers) == pseudo
        assert len(batch) == 4


def test_all_pictures_are_seen_before_any_is_seen_again():
    seen = [number for batch in drawn(6, 3, last=6) for number, _ in batch]
    counts = Counter(seen)
    assert {counts[n] for n in range(6)} == {3}  # 18 places for 6 labelled pictures
    assert {counts[n] for n in (6, 7, 8)} == {2}


def test_fewer_pictures_than_a_batch_are_taken_twice():
    (batch,) = drawn(2, 0, size=5, last=1)
    assert Counter(number for number, _ in batch) in (Counter({0: 3, 1: 2}), Counter({0: 2, 1: 3}))
    assert len({seed for _, seed in batch}) == 5, "each copy is moved in its own way"


def test_two_ranks_share_what_one_would_see():
    ranks = [drawn(8, 4, last=4, rank=rank, world_size=2) for rank in (0, 1)]
    labelled = [n for one in ranks for batch in one for n, _ in batch if n < 8]
    assert set(Counter(labelled).values()) == {3}
    assert ranks[0] != ranks[1]


def test_chance_follows_from_the_seed_and_leaves_what_comes_after_alone():
    def some():
        return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    state = random.getstate()
    expected = some()
    random.setstate(state)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    with batches.seeded(5):
        first = some()
    assert some() == expected
    with batches.seeded(5):
        assert some() == first


def test_chance_on_a_gpu_is_left_alone(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    with batches.seeded(5):
        torch.rand(())
    assert seeded == []
    torch.manual_seed(5)
    assert seeded == [5], "else the test would say nothing"


def test_labels_move_into_the_crop_and_change_sides_in_a_mirror():
    points = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    plain = np.array([[2.0, 0, 1], [0, 2, -3]])
    sample = LandmarkSample(metainfo=dict(crop_matrix=plain, flip_pairs=[(0, 2)]))
    found, kept = batches.in_crop(points, weights, sample)
    assert_close(found, points.astype(float) * 2.0 + [1, -3])
    assert kept is weights
    sample.set_metainfo(dict(crop_matrix=composed(mirrored(64), plain)))
    found, kept = batches.in_crop(points, weights, sample)
    assert_close(found[:, [2, 1, 0], 0], 63 - (points[..., 0].astype(float) * 2.0 + 1))
    assert_close(kept, weights[:, [2, 1, 0]])


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    root = rig.write_faces(tmp_path_factory.mktemp("faces"))
    return [
        DATASETS.build(rig.loader(root, take, chance=chance)["dataset"])
        for take, chance in (("labeled", True), ("unlabeled", False))
    ]


def test_transforms_are_exchanged_in_wrappers_too_and_files_stay(datasets):
    labelled, unlabelled = datasets
    wrapped = ConcatDataset([unlabelled, unlabelled])
    changed = batches.with_pipeline(wrapped, batches.pipeline_of(labelled))
    assert [one.pipeline for one in batches.inner(changed)] == [labelled.pipeline] * 2
    assert [one.pipeline for one in batches.inner(wrapped)] == [unlabelled.pipeline] * 2
    assert len(changed) == 2 * rig.HIDDEN


def test_a_labelled_picture_is_handed_out_as_it_is(datasets):
    labelled, _ = datasets
    data = batches.RoundDataset(labelled)
    with batches.seeded(7):
        expected = labelled[2]
    found = data[2, 7]
    assert found["inputs"].equal(expected["inputs"])
    assert found["data_samples"].gt_keypoints.equal(expected["data_samples"].gt_keypoints)
    assert "student_keypoints" not in found["data_samples"]
    assert len(data) == rig.LABELLED


def test_a_labelled_picture_among_the_others_keeps_its_labels(datasets):
    labelled, unlabelled = datasets
    both = ConcatDataset([unlabelled, labelled])
    data = batches.trained_on(labelled, both, bank_of(both), "self")
    assert data.rows == list(range(rig.HIDDEN))
    for number in range(len(data)):
        item = data[number, 0]["data_samples"]
        assert ("student_keypoints" in item) == (number >= rig.LABELLED)


def bank_of(dataset):
    rng = np.random.default_rng(0)
    count = len(dataset)
    found = Predicted(
        points=rng.random((count, 2, K, 2)).astype(np.float32),
        peaks=rng.random((count, 2, K)).astype(np.float32),
        quality=rng.random((count, 2)).astype(np.float32),
        apart=rng.random((count, K)).astype(np.float32),
        error=np.zeros((count, 2)),
    )
    return Labelling(filter="hard", step=1.0).bank(batches.names_of(dataset), found, 1)


def test_pictures_of_one_name_in_two_folders_are_two(tmp_path, datasets):
    """Short names are the same; the file is another one."""
    labelled, _ = datasets
    root = tmp_path / Path(labelled.data_root).name
    root.mkdir()
    rig.write_faces(root, labelled=0, hidden=rig.LABELLED)
    others = DATASETS.build(rig.loader(root, "unlabeled", chance=False)["dataset"])
    assert set(batches.names_of(others)) == set(batches.names_of(labelled))
    data = batches.trained_on(labelled, others, bank_of(others), "self")
    assert data.rows == list(range(rig.LABELLED))


def test_names_tell_pictures_frames_and_boxes_apart():
    class Infos(list):
        def get_data_info(self, number):
            return self[number]

    found = batches.names_of(
        Infos(
            [
                dict(img_path="/x/y/1.png", bbox=np.full(4, np.nan)),
                dict(img_path="/x/y/1.png", bbox=np.array([0, 1, 2, 3.5])),
                dict(img_path="clip.mp4", frame_idx=7),
            ]
        )
    )
    assert found == ["y/1.png", "y/1.png@0,1,2,3.5", "clip.mp4#7"]
