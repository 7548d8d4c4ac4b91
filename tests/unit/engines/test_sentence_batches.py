from hypothesis import given
from hypothesis import strategies as st

from cluster.engines.sentence import by_tokens


def test_the_longest_come_first_and_like_lengths_together() -> None:
    assert by_tokens([3, 9, 4, 9, 1], 18) == [[1, 3], [2, 0, 4]]


def test_padding_counts() -> None:
    assert by_tokens([10, 1, 1], 20) == [[0, 1], [2]]


def test_a_row_above_the_budget_is_a_batch_of_its_own() -> None:
    assert by_tokens([100, 2, 2], 8) == [[0], [1, 2]]


def test_nothing_is_no_batch() -> None:
    assert by_tokens([], 8) == []


@given(st.lists(st.integers(1, 300), max_size=50), st.integers(1, 2000))
def test_every_place_is_in_one_batch_and_batches_keep_the_budget(lengths: list[int], most: int) -> None:
    batches = by_tokens(lengths, most)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= most
