"""Work for a cluster goes out in batches: short items many at once, long ones alone, and who fails or dies is still known by its own name."""

from __future__ import annotations

import pytest

from evolve.compute.parcel import BATCH_S, LARGEST, Answer, Batches, Collected, Done, packed, work_on
from evolve.errors import DataUnavailable


def sizes(batches: Batches[int], item_s: float) -> list[int]:
    """Of all batches, each reported as done, with this much time per item, before the next is asked for."""
    found = []
    while batch := batches.next():
        found.append(len(batch))
        batches.took(Done(tuple(Answer(index, item) for index, item in batch), item_s * len(batch)))
    return found


def test_every_item_is_given_once_and_in_order():
    batches = Batches(range(100, 500), workers=3)
    given = []
    while batch := batches.next():
        given += batch
        batches.took(Done(tuple(Answer(*each) for each in batch), 0.001))

    assert given == list(enumerate(range(100, 500)))
    assert batches.next() == []


def test_short_items_go_many_at_once_and_never_more_than_twice_as_many_as_before():
    found = sizes(Batches(range(10_000), workers=2), 0.001)

    assert found[:8] == [1, 2, 4, 8, 16, 32, LARGEST, LARGEST]


def test_items_that_take_as_long_as_a_batch_should_go_alone():
    assert sizes(Batches(range(20), workers=2), BATCH_S) == [1] * 20
    assert sizes(Batches(range(20), workers=2), 100 * BATCH_S) == [1] * 20


def test_items_that_become_slower_are_asked_for_in_smaller_batches():
    batches = Batches(range(10_000), workers=2)
    for _ in range(5):
        quick = batches.next()
        batches.took(Done(tuple(Answer(*each) for each in quick), 0.001))
    slow = batches.next()
    batches.took(Done(tuple(Answer(*each) for each in slow), BATCH_S * len(slow) / 3))

    assert (len(slow), len(batches.next())) == (32, 3)


def test_towards_the_end_batches_shrink_so_that_no_worker_waits_long():
    found = sizes(Batches(range(200), workers=2), 0.001)

    assert found[-4:] == [1] * 4
    assert all(size <= max(1, (200 - sum(found[:number])) // 4) for number, size in enumerate(found))


def test_a_batch_that_ended_its_workers_is_given_again_item_by_item_before_anything_else():
    batches = Batches("abcdefghijklmnopqrst", workers=1)
    batches.took(Done((Answer(0, None), Answer(1, None)), 0.001))
    deadly = batches.next()

    assert len(deadly) == 4
    assert batches.one_by_one(deadly)
    assert [batches.next() for _ in deadly] == [[each] for each in deadly]
    assert batches.next()[0] == (4, "e")
    assert not batches.one_by_one(deadly[:1])  # it is this one


def test_a_batch_ends_with_its_first_item_that_fails():

    def work(item: int) -> int:
        if item >= 7:
            raise DataUnavailable("no bars", symbol="X")
        return item * 10

    done = work_on(packed(work), [(0, 5), (1, 6), (2, 7), (3, 8)])

    assert [(answer.index, answer.value) for answer in done.answers] == [(0, 50), (1, 60), (2, None)]
    assert isinstance(done.answers[2].error, DataUnavailable)


def test_of_failures_in_two_batches_that_of_the_first_item_is_raised_when_all_before_it_are_there():
    collected: Collected[int, int] = Collected(range(4), None, None)
    collected.take(Done((Answer(2, 20), Answer(3, None, ValueError("late"))), 0.0))
    with pytest.raises(DataUnavailable, match="early"):
        collected.take(Done((Answer(0, 0), Answer(1, None, DataUnavailable("early"))), 0.0))
