"""The pair of ranks that tests share: results of both; a failure ends the pair, not the tests."""

import os

import pytest
import torch
import torch.distributed as dist
from mmengine.registry import DefaultScope

from tests.two_ranks import TwoRanks


def total(rank, number):
    x = torch.tensor([float(rank + number)])
    dist.all_reduce(x)
    return dict(total=x, rank=rank, process=os.getpid())


def fails_in_one(rank):
    if rank == 1:
        raise ValueError("rank one has had enough")
    dist.barrier()  # waits for the other


def ends(rank):
    os._exit(3)


def sets_a_scope(rank):
    DefaultScope.get_instance("left-behind", scope_name="mmdet")
    return rank


def scopes(rank):
    return list(DefaultScope._instance_dict)


@pytest.fixture(scope="module")
def pair():
    pair = TwoRanks()
    yield pair
    pair.stop()


def test_both_compute_together_again_and_again(pair):
    first, again = pair(total, 1), pair(total, 10)
    assert [one["total"].item() for one in (*first, *again)] == [3, 3, 21, 21]
    assert [one["rank"] for one in first] == [0, 1]
    assert [one["process"] for one in first] == [one["process"] for one in again]


def test_nothing_of_a_test_stays_for_the_next(pair):
    assert pair(sets_a_scope) == [0, 1]
    assert "left-behind" not in pair(scopes)[0]


@pytest.mark.parametrize(
    ("fault", "told"), [(fails_in_one, "rank one has had enough"), (ends, "ended with 3")]
)
def test_a_failure_is_told_and_the_next_test_gets_a_new_pair(pair, fault, told):
    before = pair(total, 1)[0]["process"]
    with pytest.raises(AssertionError, match=told):
        pair(fault)
    after = pair(total, 1)[0]
    assert after["total"].item() == 3
    assert after["process"] != before
