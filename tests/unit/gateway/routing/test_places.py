"""A queue's places follow the replicas that run, and what the queues tell of themselves."""

import asyncio
import threading
from typing import Any

import pytest

from cluster.config import resolve
from cluster.errors import Overloaded
from cluster.serve_replicas import ReplicaCounts
from cluster.types import Priority
from deployments.gateway.limits.admission import ModelQueue
from deployments.gateway.limits.fair_queue import FairQueue
from deployments.gateway.limits.gate import open_gate, places_of
from deployments.gateway.routing.places import Places


class Told:
    """Queue metrics that are lists."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, int]] = []
        self.waits: list[float] = []
        self.refusals: list[str] = []

    def queue_waiting(self, model: str, count: int, *, places: int) -> None:
        self.waiting.append((count, places))

    def queue_waited(self, model: str, seconds: float) -> None:
        self.waits.append(seconds)

    def queue_refused(self, model: str, *, reason: str, waiting: int, places: int) -> None:
        self.refusals.append(reason)


def queue(
    *, at_once: int = 1, most_waiting: int | None = None, max_wait_s: float = 60.0
) -> tuple[ModelQueue, Told]:
    places = FairQueue(at_once=at_once, background_places=at_once, most_waiting=most_waiting)
    made, told = ModelQueue("m", places, max_wait_s=max_wait_s), Told()
    made.metrics = told
    return made, told


def settings_of(**replicas: Any) -> Any:
    return resolve({"models": [{"id": "m", "engine": {"kind": "scripted"}, "replicas": replicas}]}, {})


def test_an_autoscaled_models_places_follow_its_replicas() -> None:
    settings, counts = settings_of(min=1, max=4, max_ongoing=8, target_ongoing=4), ReplicaCounts()
    gate = open_gate(settings)
    places = Places(settings, gate, counts=counts)
    assert (places.running("m"), gate.queue("m").places) == (None, 32)
    counts.note("m", frozenset({"r1"}))
    asyncio.run(gate.queue("m").enter("o", Priority.INTERACTIVE, 1))
    assert (places.running("m"), gate.queue("m").places) == (1, 8)


def test_a_model_without_a_replica_still_gets_what_wakes_it() -> None:
    settings, counts = settings_of(min=0, max=4, max_ongoing=8, target_ongoing=4), ReplicaCounts()
    gate = open_gate(settings)
    counts.note("m", frozenset())
    Places(settings, gate, counts=counts)
    asyncio.run(gate.queue("m").enter("o", Priority.INTERACTIVE, 1))
    assert gate.queue("m").places == 8


def test_more_is_let_through_than_the_autoscaler_aims_at_or_it_would_never_add_one() -> None:
    settings = settings_of(min=1, max=8, max_ongoing=4, target_ongoing=16)
    places = [places_of(settings.models[0], settings, running)[0] for running in (1, 2, 8)]
    assert places == [17, 32, 32]  # and never more than all that there may be can do


async def test_those_that_wait_begin_when_replicas_come_from_whatever_thread_says_so() -> None:
    made, told = queue()
    await made.enter("o", Priority.INTERACTIVE, 1)
    waiting = asyncio.create_task(made.enter("o", Priority.INTERACTIVE, 1))
    await asyncio.sleep(0)
    teller = threading.Thread(target=made.resize, args=(3, 3))
    teller.start()
    await asyncio.wait_for(waiting, 10)
    teller.join()
    assert (made.running, made.places, told.waiting[0], told.waiting[-1]) == (2, 3, (1, 1), (0, 3))


async def test_fewer_places_take_none_from_who_has_one() -> None:
    made, _ = queue(at_once=2)
    await made.enter("o", Priority.INTERACTIVE, 1)
    await made.enter("o", Priority.INTERACTIVE, 1)
    made.resize(1, 1)
    waiting = asyncio.create_task(made.enter("o", Priority.INTERACTIVE, 1))
    await asyncio.sleep(0)
    made.leave(Priority.INTERACTIVE)
    await asyncio.sleep(0)
    assert not waiting.done()
    made.leave(Priority.INTERACTIVE)
    await asyncio.wait_for(waiting, 10)


async def test_waits_and_refusals_are_told_with_their_reason() -> None:
    made, told = queue(most_waiting=1, max_wait_s=0.01)
    await made.enter("o", Priority.INTERACTIVE, 1)
    waiting = asyncio.create_task(made.enter("o", Priority.INTERACTIVE, 1))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await made.enter("o", Priority.INTERACTIVE, 1)
    with pytest.raises(Overloaded):
        await waiting
    late = asyncio.create_task(made.enter("o", Priority.INTERACTIVE, 1))
    await asyncio.sleep(0)
    made.leave(Priority.INTERACTIVE)
    await late
    assert (told.refusals, len(told.waits), told.waiting[-1]) == (["full", "too_long"], 1, (0, 1))


async def test_the_predicted_wait_is_nothing_where_a_place_is_free_and_a_pace_where_none_is() -> None:
    now = 0.0
    places = FairQueue(at_once=1, background_places=1)
    made = ModelQueue("m", places, max_wait_s=60, clock=lambda: now)
    assert made.predicted_wait_s(Priority.INTERACTIVE) == 0.0
    waiting = [asyncio.create_task(made.enter("o", Priority.INTERACTIVE, 1)) for _ in range(5)]
    await asyncio.sleep(0)
    assert made.predicted_wait_s(Priority.INTERACTIVE) is None
    for _ in range(3):
        now += 2.0
        made.leave(Priority.INTERACTIVE)
        await asyncio.sleep(0)
    assert made.predicted_wait_s(Priority.INTERACTIVE) == 2.0 * (made.waiting + 1)
    for task in waiting:
        task.cancel()


def test_followers_hear_what_is_known_and_each_change_once() -> None:
    counts, heard = ReplicaCounts(), []
    counts.note("d", frozenset({"a", "b"}))
    counts.follow("d", heard.append)
    counts.note("d", frozenset({"b", "a"}))
    counts.note("other", frozenset({"o"}))
    counts.note("d", frozenset({"b"}), lost=True)
    known, lost = heard
    assert (known.before, known.count, known.lost) == (None, 2, False)
    assert (lost.before, lost.now, lost.lost) == (frozenset({"a", "b"}), frozenset({"b"}), True)
    assert (counts.of("d"), counts.of("nobody")) == (1, None)


def test_as_many_replicas_in_others_place_are_a_change_too() -> None:
    counts, heard = ReplicaCounts(), []
    counts.note("d", frozenset({"a"}))
    counts.follow("d", heard.append)
    counts.note("d", frozenset({"b"}))
    assert [change.now for change in heard] == [{"a"}, {"b"}]
