"""Items in batches, of so many or of so much."""

from itertools import count, islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from cluster.batched import batched, by_size

SIZES = st.lists(st.integers(min_value=0, max_value=20))


def itself(size: int) -> int:
    return size


def test_a_list_is_batched_into_lists() -> None:
    assert list(batched([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]


def test_nothing_has_no_batches() -> None:
    assert list(batched([], 2)) == []
    assert list(by_size([], itself, most=2)) == []


def test_a_batch_is_full_when_the_next_item_would_be_too_much() -> None:
    assert list(by_size([3, 4, 3, 1], itself, most=7)) == [[3, 4], [3, 1]]


def test_a_batch_is_full_when_it_has_as_many_as_it_may() -> None:
    assert list(by_size("abcde", len, most=100, count=2)) == [["a", "b"], ["c", "d"], ["e"]]


def test_an_item_that_is_larger_than_a_batch_is_alone() -> None:
    assert list(by_size([1, 9, 1, 1], itself, most=5)) == [[1], [9], [1, 1]]


def test_items_are_taken_as_batches_are_asked_for() -> None:
    assert list(islice(by_size(count(1), itself, most=6), 3)) == [[1, 2, 3], [4], [5]]


@given(sizes=SIZES, most=st.integers(min_value=0, max_value=30), count=st.none() | st.integers(1, 5))
def test_batches_lose_nothing_keep_the_order_and_are_as_few_as_can_be(
    sizes: list[int], most: int, count: int | None
) -> None:
    batches = list(by_size(sizes, itself, most=most, count=count))
    assert [size for batch in batches for size in batch] == sizes
    assert all(len(batch) == 1 or sum(batch) <= most for batch in batches)
    assert all(count is None or len(batch) <= count for batch in batches)
    for batch, after in pairwise(batches):
        assert len(batch) == count or sum(batch) + after[0] > most
