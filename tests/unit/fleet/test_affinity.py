"""Requests that belong together go to the same replica, as long as it has not much more to do than others."""

from collections import Counter

import pytest

from deployments.fleet.affinity import AT_LEAST, bound, choose, rank

KEYS = [f"session-{number}" for number in range(600)]


def idle(*replicas: str) -> dict[str, int]:
    return dict.fromkeys(replicas, 0)


def homes(*replicas: str) -> dict[str, str | None]:
    return {key: choose(key, idle(*replicas)) for key in KEYS}


def test_a_key_has_one_home_in_whatever_order_the_replicas_are_told() -> None:
    assert homes("a", "b", "c") == homes("c", "a", "b") == homes("a", "b", "c")


def test_keys_are_spread_over_the_replicas() -> None:
    counts = Counter(homes("a", "b", "c", "d").values())
    assert all(100 < count < 200 for count in counts.values()), counts


def test_a_replica_that_goes_moves_none_but_its_own_keys() -> None:
    before, after = homes("a", "b", "c"), homes("a", "c")
    assert {key for key in KEYS if before[key] != after[key]} == {key for key in KEYS if before[key] == "b"}


def test_a_replica_that_comes_takes_keys_for_itself_alone() -> None:
    before, after = homes("a", "b", "c"), homes("a", "b", "c", "d")
    moved = [key for key in KEYS if before[key] != after[key]]
    assert {after[key] for key in moved} == {"d"}
    assert 100 < len(moved) < 200


def test_a_home_with_more_than_its_share_is_passed_over_for_the_next_in_the_keys_own_order() -> None:
    order = sorted("abc", key=lambda replica: rank("k", replica), reverse=True)
    loads = dict.fromkeys("abc", 10)
    assert choose("k", loads) == order[0]
    assert choose("k", {**loads, order[0]: 30}) == order[1]
    assert choose("k", {**loads, order[0]: 30, order[1]: 30}) == order[2]


def test_a_few_requests_are_never_too_many() -> None:
    home = choose("k", idle("a", "b"))
    assert home is not None
    assert choose("k", {**idle("a", "b"), home: AT_LEAST - 1}) == home
    assert choose("k", {**idle("a", "b"), home: AT_LEAST}) != home


def test_one_hot_key_fills_no_replica_beyond_the_bound() -> None:
    loads = idle("a", "b", "c")
    for _ in range(300):
        chosen = choose("hot", loads)
        assert chosen is not None
        assert loads[chosen] + 1 <= bound(loads)
        loads[chosen] += 1
    assert max(loads.values()) <= 1.25 * 100 + 1


@pytest.mark.parametrize("loads", [{}, {"a": 8, "b": 8}, {"a": 9, "b": 12}])
def test_where_there_is_none_or_all_are_full_there_is_no_choice(loads: dict[str, int]) -> None:
    assert choose("k", loads, most=8) is None


def test_one_that_can_do_no_more_is_passed_over_although_it_is_within_its_share() -> None:
    home = choose("k", idle("a", "b"))
    assert home is not None
    assert choose("k", {**idle("a", "b"), home: 2}, most=2) not in (home, None)
