"""Who goes next to a model."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.types import Priority
from deployments.gateway.limits.fair_queue import FairQueue, QueueFull, Ticket

PERSON, BATCH = Priority.INTERACTIVE, Priority.BACKGROUND


def queue_of(at_once: int, *, most_waiting: int | None = None, background: int | None = None) -> FairQueue:
    return FairQueue(at_once=at_once, background_places=background or at_once, most_waiting=most_waiting)


def ticket(owner: str, cost: float = 1.0, priority: Priority = PERSON) -> Ticket:
    return Ticket(owner=owner, priority=priority, cost=cost)


def served(queue: FairQueue, turns: int) -> list[str]:
    """The owners that go next, each ending at once. One place must be taken."""
    owners, running = [], PERSON
    for _ in range(turns):
        for begun in queue.end(running):
            owners.append(begun.owner)
            running = begun.priority
    return owners


def test_places_are_taken_at_once_while_there_are_any() -> None:
    queue = queue_of(2)
    assert [queue.start(PERSON) for _ in range(3)] == [True, True, False]


def test_a_hundred_waiting_requests_of_one_key_do_not_hold_up_a_key_with_one() -> None:
    queue = queue_of(1)
    queue.start(PERSON)
    for _ in range(100):
        queue.wait(ticket("greedy"))
    served(queue, 10)
    queue.wait(ticket("modest"))
    assert "modest" in served(queue, 2)


def test_owners_take_turns() -> None:
    queue = queue_of(1)
    queue.start(PERSON)
    for owner in "aaabbc":
        queue.wait(ticket(owner))
    assert served(queue, 6) == ["a", "b", "c", "a", "b", "a"]


def test_whoever_sends_long_requests_gets_fewer_turns() -> None:
    queue = queue_of(1)
    queue.start(PERSON)
    for _ in range(50):
        queue.wait(ticket("long", cost=400))
        queue.wait(ticket("short", cost=100))
    first = served(queue, 25)
    assert first.count("short") == 20
    assert first.count("long") == 5


def test_an_owner_keeps_the_order_of_their_requests() -> None:
    queue = queue_of(1)
    queue.start(PERSON)
    tickets = [ticket("a", cost=cost) for cost in (9, 1, 5)]
    for waiting in tickets:
        queue.wait(waiting)
    assert [next(iter(queue.end(PERSON))) for _ in tickets] == tickets


def test_interactive_requests_go_before_background_ones() -> None:
    queue = queue_of(1)
    queue.start(PERSON)
    queue.wait(ticket("batch", priority=BATCH))
    for _ in range(3):
        queue.wait(ticket("person"))
    assert served(queue, 4) == ["person", "person", "person", "batch"]


def test_background_work_leaves_places_for_people() -> None:
    queue = queue_of(4, background=3)
    assert [queue.start(BATCH) for _ in range(4)] == [True, True, True, False]
    queue.wait(ticket("batch", priority=BATCH))
    assert queue.start(PERSON)
    assert list(queue.end(PERSON)) == []  # the place stays free, for the next person
    assert [begun.owner for begun in queue.end(BATCH)] == ["batch"]


def test_a_removed_request_is_not_served() -> None:
    queue = queue_of(1)
    queue.start(PERSON)
    gone, stays = ticket("a"), ticket("b")
    queue.wait(gone)
    queue.wait(stays)
    assert queue.remove(gone)
    assert not queue.remove(gone)
    assert list(queue.end(PERSON)) == [stays]
    assert len(queue) == 0


def test_a_full_queue_refuses_whoever_has_most_waiting() -> None:
    queue = queue_of(1, most_waiting=3)
    queue.start(PERSON)
    kept = [ticket("greedy") for _ in range(3)]
    for waiting in kept:
        assert queue.wait(waiting) is None
    with pytest.raises(QueueFull):
        queue.wait(ticket("greedy"))
    assert queue.wait(ticket("modest")) is kept[-1]
    assert len(queue) == 3


def test_people_in_numbers_push_no_batch_out() -> None:
    queue = queue_of(1, most_waiting=1)
    queue.start(PERSON)
    assert queue.wait(ticket("person")) is None
    with pytest.raises(QueueFull):
        queue.wait(ticket("another person"))
    assert queue.wait(ticket("batch", priority=BATCH)) is None
    assert served(queue, 2) == ["person", "batch"]


@settings(max_examples=50)
@given(
    st.integers(1, 4),
    st.integers(0, 6),
    st.integers(0, 2**32),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(list(Priority)), st.integers(1, 100)), max_size=60),
)
def test_nobody_is_lost_doubled_or_left_waiting_beside_a_free_place(
    at_once: int, most_waiting: int, seed: int, arrivals: list[tuple[str, Priority, int]]
) -> None:
    chance = random.Random(seed)
    queue = queue_of(at_once, most_waiting=most_waiting, background=max(1, at_once - 1))
    running: list[Priority] = []
    waiting: list[Ticket] = []

    def end() -> None:
        for begun in queue.end(running.pop(chance.randrange(len(running)))):
            waiting.remove(begun)
            running.append(begun.priority)

    for owner, priority, cost in arrivals:
        if queue.start(priority):
            running.append(priority)
        else:
            new = ticket(owner, cost, priority)
            try:
                evicted = queue.wait(new)
            except QueueFull:
                continue
            waiting.append(new)
            if evicted is not None:
                waiting.remove(evicted)
        if running and chance.random() < 0.4:
            end()
        if waiting and chance.random() < 0.2:
            assert queue.remove(waiting.pop(chance.randrange(len(waiting))))
        assert len(queue) == len(waiting) <= 2 * most_waiting
        assert sum(queue.running.values()) == len(running) <= at_once
        if len(running) < at_once:
            assert not any(left.priority is PERSON for left in waiting)
    while running:
        end()
    assert waiting == []
