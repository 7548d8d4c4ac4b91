"""What happens to models, among the cluster's decision events."""

from functools import partial

from cluster.stores.database import engine_of
from cluster.stores.decision_log import FLEET_KINDS, DecisionLog
from cluster.stores.events import EventStore
from cluster.types import ModelEvent
from deployments.fleet.records import KINDS, kind_of, record
from deployments.gateway.routing import event_log
from tests.unit.fleet.managed import Loads, running, settled


async def test_the_fleet_s_events_are_stored_once_with_what_was_decided_on() -> None:
    store = EventStore(engine_of("sqlite://"))
    log = DecisionLog(store=store, source="fleet")
    async with running(Loads(), most=1, record=partial(record, log)) as manager:
        await manager.claim("a", "g")
        manager.release("a", "g")
        await manager.claim("b", "g")
        await settled(manager, "b")
        await manager.load("b", pin=True)
    await log.flush()
    told = store.newest(limit=99)
    assert {event.gateway for event in told} == {"fleet"}
    assert [(event.kind, event.model, event.reason) for event in told] == [
        ("load", "a", "asked"),
        ("ready", "a", "loaded"),
        ("load", "b", "asked"),
        ("ready", "b", "loaded"),
        ("evict", "a", "count"),
        ("unloaded", "a", "count"),
        ("pin", "b", "asked"),
    ]
    leaving = next(event for event in told if event.kind == "evict")
    assert (leaving.inputs["memory_gib"], leaving.inputs["in_use"]) == (1.0, ["b"])
    assert leaving.inputs["said"] == "more models are loaded than may be, and it was used least recently"


def test_a_model_that_goes_for_another_is_evicted_and_one_whose_time_is_up_unloaded() -> None:
    def leaving(code: str) -> str | None:
        return kind_of(ModelEvent(number=1, at=0.0, model="a", what="unloading", code=code))

    assert [leaving(code) for code in ("memory", "count", "out_of_memory")] == ["evict"] * 3
    assert [leaving(code) for code in ("asked", "idle")] == ["unload"] * 2
    assert kind_of(ModelEvent(number=1, at=0.0, model="a", what="wanted")) is None


def test_every_kind_can_be_asked_for() -> None:
    assert {*KINDS.values(), "evict"} == set(FLEET_KINDS)
    assert set(FLEET_KINDS) < set(event_log.KINDS)
