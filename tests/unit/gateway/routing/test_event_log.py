"""Decisions are kept in memory, stored in batches, counted when they come too fast, and read by any gateway."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from cluster.errors import DatabaseAway
from cluster.settings.routing import EventSettings
from cluster.stores import decision_log
from cluster.stores.database import engine_of, now
from cluster.stores.decision_log import ALIKE_A_SECOND
from cluster.stores.events import DecisionEvent, EventStore
from deployments.events import line
from deployments.gateway.routing import routes
from deployments.gateway.routing.event_log import EventLog
from tests.unit.gateway.routing.conftest import house
from tests.unit.waiting import until


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Away(EventStore):
    """A database that does not answer at first."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.away = True

    def add(self, events: Any) -> None:
        if self.away:
            raise DatabaseAway("gone")
        super().add(events)


@pytest.fixture
def store() -> EventStore:
    return EventStore(engine_of("sqlite://"))


def event(number: int = 0, **changes: Any) -> DecisionEvent:
    fields: dict[str, Any] = {"at": now(), "gateway": "g", "kind": "retry", "model": "m", "reason": f"r{number}"}
    return DecisionEvent(**{**fields, **changes})


async def test_what_is_recorded_is_in_memory_at_once_and_stored_after_a_flush(store: EventStore) -> None:
    log = EventLog(store=store)
    log.record("fallback", "a", "engine_dead", request_id="r1", answered="b")
    assert [one.reason for one in log.recent] == ["engine_dead"]
    await log.flush()
    (stored,) = store.newest(limit=10)
    assert (stored.kind, stored.model, stored.request_id, stored.inputs) == (
        "fallback",
        "a",
        "r1",
        {"answered": "b"},
    )


async def test_events_are_stored_without_anybody_asking(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_log, "FLUSH_S", 0.005)
    EventLog(store=store).record("retry", "a", "no_tries")
    await until(store.last_id)
    assert store.last_id() == 1


async def test_a_storm_of_one_decision_becomes_one_event_with_its_count() -> None:
    clock = Clock()
    log = EventLog(clock=clock)
    for _ in range(1000):
        log.record("queue_refused", "a", "full")
    assert len(log.recent) == ALIKE_A_SECOND
    clock.now = 1.0
    log.record("queue_refused", "a", "full")
    assert [one.count for one in log.recent][-2:] == [1000 - ALIKE_A_SECOND, 1]


async def test_the_rest_of_a_storm_is_told_though_nothing_follows(store: EventStore) -> None:
    log = EventLog(store=store)
    for _ in range(50):
        log.record("queue_refused", "a", "full")
    await log.flush()
    assert sum(one.count for one in store.newest(limit=100)) == 50


async def test_events_wait_for_a_database_that_is_away() -> None:
    away = Away(engine_of("sqlite://"))
    log = EventLog(store=away)
    log.record("retry", "a", "no_tries")
    with pytest.raises(DatabaseAway):
        await log.flush()
    away.away = False
    log.record("retry", "b", "no_tries")
    await log.flush()
    assert [one.model for one in away.newest(limit=10)] == ["a", "b"]


def test_recording_outside_of_an_event_loop_is_harmless(store: EventStore) -> None:
    log = EventLog(store=store)
    log.record("retry", "a", "no_tries")
    assert len(log.recent) == 1


def test_memory_is_bounded() -> None:
    log = EventLog(EventSettings(recent=10))
    for number in range(100):
        log.record("retry", "a", f"r{number}")
    assert [one.reason for one in log.recent] == [f"r{number}" for number in range(90, 100)]


def test_the_newest_are_read_oldest_first_and_filtered(store: EventStore) -> None:
    store.add(
        [event(number, kind="retry" if number % 2 else "fallback", model="ab"[number // 3]) for number in range(6)]
    )
    assert [one.reason for one in store.newest(limit=3)] == ["r3", "r4", "r5"]
    assert [one.reason for one in store.newest(limit=9, kinds=["retry"])] == ["r1", "r3", "r5"]
    assert [one.reason for one in store.newest(limit=9, models=["a"])] == ["r0", "r1", "r2"]
    assert [one.reason for one in store.newest(limit=9, after=4)] == ["r4", "r5"]


def test_the_database_is_bounded_by_count_and_by_age(store: EventStore) -> None:
    store.add([event(0, at=now() - timedelta(days=9)), *(event(number) for number in range(1, 6))])
    assert store.prune(kept=100, keep_days=7) == 1
    assert store.prune(kept=2, keep_days=7) == 3
    assert [one.reason for one in store.newest(limit=9)] == ["r4", "r5"]


def test_an_id_is_never_given_twice(store: EventStore) -> None:
    store.add([event()])
    store.prune(kept=0, keep_days=0)
    store.add([event()])
    assert store.last_id() == 2


async def test_the_route_lists_what_two_gateways_decided() -> None:
    gateway = await house({"a": {}})
    EventStore(gateway.engine).add([event(7, gateway="another")])
    gateway.router.events.record("breaker", "a", "open", failures_in_a_row=5)
    async with gateway.client() as client:
        answer = await client.get("/api/v1/events")
        filtered = await client.get("/api/v1/events", params={"kind": "breaker", "since": "60s"})
    assert [one["reason"] for one in answer.json()["data"]] == ["r7", "open"]
    (told,) = filtered.json()["data"]
    assert (told["object"], told["inputs"], told["gateway"]) == (
        "event",
        {"failures_in_a_row": 5},
        gateway.router.events.gateway,
    )


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"kind": "magic"}, "kind"),
        ({"since": "yesterday"}, "since"),
        ({"limit": 0}, "limit"),
        ({"since": "-5s"}, "since"),
    ],
)
async def test_the_route_refuses_what_it_does_not_know(asked: dict[str, Any], param: str) -> None:
    gateway = await house({"a": {}})
    async with gateway.client() as client:
        answer = await client.get("/api/v1/events", params=asked)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_follower_gets_what_was_and_what_comes_and_can_go_on_after_its_last_event() -> None:
    gateway = await house({"a": {}})
    route = next(route for route in gateway.app.routes if getattr(route, "path", "") == "/api/v1/events")
    log = gateway.router.events
    for number in range(3):
        log.record("retry", "a", f"r{number}")

    async def followed(count: int, **query: Any) -> list[dict[str, Any]]:
        from starlette.requests import Request

        headers = [(b"last-event-id", str(query.pop("after")).encode())] if "after" in query else []
        request = Request({"type": "http", "headers": headers, "method": "GET", "path": "/", "query_string": b""})
        response = await route.endpoint(request, kind=[], model=[], since=None, limit=2, follow=True)  # type: ignore[attr-defined]
        found: list[dict[str, Any]] = []
        async for item in response.body_iterator:
            if item.startswith(b"id: "):
                found.append(json.loads(item.split(b"data: ")[1]))
            if len(found) == count:
                await response.body_iterator.aclose()
                return found
        return found

    assert [one["reason"] for one in await followed(2)] == ["r1", "r2"]
    assert [one["reason"] for one in await followed(2, after=1)] == ["r1", "r2"]
    asyncio.get_running_loop().call_later(0.02, log.record, "retry", "a", "later")
    assert [one["reason"] for one in await followed(3)] == ["r1", "r2", "later"]


def test_one_line_of_the_console_says_who_what_and_why() -> None:
    shown = line(event(kind="fallback", reason="engine_dead", count=3, inputs={"answered": "b"}).as_json())
    assert "fallback" in shown
    assert "m: engine_dead ×3 answered=b" in shown


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "POLL_S", 0.01)
