"""RatioBatchSampler: each batch's shares, order, ranks, epochs, and what it refuses."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

from mmext.registry import DATA_SAMPLERS
from mmext.self_training.pseudo_labels.sampler import RatioBatchSampler

SIZES = (5, 17)


def joined(*sizes):
    return SimpleNamespace(cumulative_sizes=list(itertools.accumulate(sizes)))


def batches(sampler, number):
    indices = iter(sampler)
    return [tuple(itertools.islice(indices, sampler.batch_size)) for _ in range(number)]


@pytest.mark.parametrize(
    ("ratio", "batch_size", "shares"),
    [((1, 1), 4, (2, 2)), ((3, 1), 4, (3, 1)), ((1, 4), 10, (2, 8)), ((2, 2), 4, (2, 2))],
)
def test_every_batch_has_its_shares_and_each_pass_is_a_new_permutation(ratio, batch_size, shares):
    sampler = RatioBatchSampler(joined(*SIZES), batch_size, ratio, seed=3)
    drawn = batches(sampler, 200)
    for start, stop, first, last in (
        (0, 5, 0, shares[0]),
        (5, 22, shares[0], batch_size),
    ):
        stream = [index for batch in drawn for index in batch[first:last]]
        size = stop - start
        passes = [stream[i : i + size] for i in range(0, len(stream) - size, size)]
        assert all(sorted(one) == list(range(start, stop)) for one in passes)
        assert len({tuple(one) for one in passes}) > len(passes) // 2


def test_a_seed_is_a_sequence_and_a_part_does_not_move_the_other():
    def human(*sizes, seed):
        drawn = batches(RatioBatchSampler(joined(*sizes), 4, seed=seed), 50)
        return [index for batch in drawn for index in batch[:2]]

    assert human(*SIZES, seed=3) == human(*SIZES, seed=3)
    assert human(*SIZES, seed=3) != human(*SIZES, seed=4)
    assert human(*SIZES, seed=3) == human(5, 400, seed=3)


def test_two_ranks_are_disjoint_and_together_one_process(monkeypatch):
    whole = batches(RatioBatchSampler(joined(*SIZES), 8, seed=3), 40)
    ranks = []
    for rank in (0, 1):
        monkeypatch.setattr(
            "mmext.self_training.pseudo_labels.sampler.get_dist_info", lambda rank=rank: (rank, 2)
        )
        ranks.append(batches(RatioBatchSampler(joined(*SIZES), 4, seed=3), 40))
    for first, second, both in zip(*ranks, whole, strict=True):
        assert sorted(first + second) == sorted(both)
        assert not set(first[2:]) & set(second[2:])  # of 17 pictures, four are four


def test_an_epoch_has_the_steps_of_the_first_part_alone_and_goes_on_where_the_last_ended():
    endless = RatioBatchSampler(joined(*SIZES), 4, seed=3)
    epochs = RatioBatchSampler(joined(*SIZES), 4, by_epoch=True, seed=3)
    assert len(epochs) == len(endless) == 8  # two batches see five pictures once, if all were human
    found = []
    for epoch in range(7):
        epochs.set_epoch(epoch)
        found += list(epochs)
    assert found == list(itertools.islice(endless, 56))


def test_a_data_loader_makes_these_batches():
    parts = [TensorDataset(torch.full((size,), part)) for part, size in enumerate(SIZES)]
    data = ConcatDataset(parts)
    sampler = DATA_SAMPLERS.build(
        dict(type="mmext.RatioBatchSampler", ratio=(1, 3), batch_size=4, by_epoch=True),
        default_args=dict(dataset=data, seed=0),
    )
    assert type(sampler) is RatioBatchSampler
    loader = DataLoader(data, batch_size=4, sampler=sampler)
    assert (
        [batch.tolist() for (batch,) in loader]
        == [[0, 1, 1, 1]] * 2
        == [[0, 1, 1, 1]] * len(loader)
    )


@pytest.mark.parametrize(
    ("batch_size", "ratio", "nearest"),
    [(6, (3, 1), "4 or 8"), (3, (1, 4), "take 5"), (0, (1, 1), "take 2")],
)
def test_a_ratio_that_does_not_divide_the_batch_names_those_that_do(batch_size, ratio, nearest):
    with pytest.raises(
        ValueError, match=f"batch_size {batch_size}: expected a multiple.*{nearest}"
    ):
        RatioBatchSampler(joined(*SIZES), batch_size, ratio)


def test_data_sets_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="got no parts of a TensorDataset"):
        RatioBatchSampler(TensorDataset(torch.zeros(3)), 4)
    with pytest.raises(ValueError, match="got 3 parts"):
        RatioBatchSampler(joined(2, 3, 4), 4)
    with pytest.raises(ValueError, match="got none in part 2 of 2; look at its files"):
        RatioBatchSampler(joined(2, 0), 4)
    with pytest.raises(ValueError, match="whole numbers of 1 or more"):
        RatioBatchSampler(joined(2, 3), 4, ratio=(1, 0))
