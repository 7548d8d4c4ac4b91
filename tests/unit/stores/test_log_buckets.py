"""Percentiles of durations that are only counted."""

import random
from collections import Counter

import pytest

from cluster.stores.log_buckets import ERROR, LEAST_S, MOST_S, bucket_of, percentile


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("spread", [(0.002, 0.004), (0.001, 100.0), (5.0, 5.0)])
def test_a_percentile_is_within_the_error_of_the_true_one(share: float, spread: tuple[float, float]) -> None:
    chance = random.Random(7)
    durations = sorted(chance.uniform(*spread) for _ in range(997))
    true = durations[int(share * (len(durations) - 1))]
    found = percentile(Counter(map(bucket_of, durations)), share)
    assert found == pytest.approx(true, rel=ERROR)


def test_counts_of_several_processes_add_up_to_the_percentile_of_all() -> None:
    fast, slow = Counter([bucket_of(0.01)] * 90), Counter([bucket_of(3.0)] * 10)
    assert percentile(fast, 0.95) == pytest.approx(0.01, rel=ERROR)
    assert percentile(fast + slow, 0.95) == pytest.approx(3.0, rel=ERROR)


def test_what_is_shorter_or_longer_than_is_told_apart_counts_as_the_ends() -> None:
    assert bucket_of(0.0) == bucket_of(-1.0) == bucket_of(LEAST_S) == 0
    assert percentile({0: 3}, 0.95) == LEAST_S
    assert bucket_of(float("inf")) == bucket_of(MOST_S)


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile({}, 0.95) is None
