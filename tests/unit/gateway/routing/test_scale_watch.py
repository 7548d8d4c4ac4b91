"""Each change of a model's replicas is one event, whoever of the gateways sees it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from cluster.config import resolve
from cluster.serve_replicas import ReplicaCounts
from deployments.gateway.routing.event_log import EventLog
from deployments.gateway.routing.scale_watch import CLAIMS_KEPT, ScaleWatch, explain
from tests.unit.waiting import until

UP = {"reason": "queued", "before": 1, "target": 3, "queued": 20.0, "at": 1.0}
DOWN = {"reason": "ongoing", "before": 3, "target": 1, "at": 2.0}


class Store:
    """Ray's key-value store, as far as decisions and claims go."""

    def __init__(self, decision: Mapping[str, Any] | None = None) -> None:
        self.decision = decision
        self.claims: set[tuple[str, str]] = set()

    def last(self, deployment: str) -> Mapping[str, Any] | None:
        return self.decision

    def claim(self, deployment: str, change: str) -> bool:
        new = (deployment, change) not in self.claims
        self.claims.add((deployment, change))
        return new

    def forget(self, deployment: str, change: str) -> None:
        self.claims.discard((deployment, change))


class Away(Store):
    """A store that does not answer."""

    def claim(self, deployment: str, change: str) -> bool:
        raise RuntimeError("no Ray here")


class Gateway:
    """The watch of one gateway, with what it tells."""

    def __init__(self, store: Store, *, least: int = 1) -> None:
        model = {"id": "m", "engine": {"kind": "scripted"}, "replicas": {"min": least, "max": 4}}
        self.counts = ReplicaCounts()
        self.events = EventLog()
        settings = resolve({"models": [model]}, {})
        self.watch = ScaleWatch(settings, self.events, counts=self.counts, decisions=store, settle_s=0)
        self.watch.begin()

    def runs(self, *replicas: str, lost: bool = False) -> None:
        self.counts.note("m", frozenset(replicas), lost=lost)

    @property
    def told(self) -> list[tuple[str, int, int]]:
        return [(one.reason, one.inputs["before"], one.inputs["replicas"]) for one in self.events.recent]

    async def quiet(self) -> None:
        """Until all that was heard is told."""
        await asyncio.sleep(0)
        await until(lambda: not self.watch._tasks)


async def test_a_change_is_told_with_the_reason_and_the_figures_of_its_decision() -> None:
    gateway = Gateway(Store(UP))
    gateway.runs("a")
    gateway.runs("a", "b")
    gateway.runs("a", "b", "c")
    await until(lambda: len(gateway.told) == 2)
    assert sorted(gateway.told) == [("queued", 1, 2), ("queued", 2, 3)]
    event = gateway.events.recent[0]
    assert (event.kind, event.model, event.inputs["target"], event.inputs["queued"]) == ("scale", "m", 3, 20.0)


async def test_of_two_gateways_one_tells() -> None:
    store = Store(UP)
    gateways = [Gateway(store), Gateway(store)]
    for gateway in gateways:
        gateway.runs("a")
        gateway.runs("a", "b")
    for gateway in gateways:
        await gateway.quiet()
    assert sorted(len(gateway.told) for gateway in gateways) == [0, 1]


async def test_changes_that_reach_a_gateway_as_one_are_not_told_again() -> None:
    store = Store(UP)
    quick, slow = Gateway(store), Gateway(store)
    for gateway, steps in ((quick, ("a", "ab", "abc", "ab", "a")), (slow, ("a", "abc", "a"))):
        for step in steps:
            gateway.runs(*step)
            await gateway.quiet()
    assert [(before, now) for _, before, now in quick.told] == [(1, 2), (2, 3), (3, 2), (2, 1)]
    assert slow.told == []


async def test_the_first_replicas_of_a_model_are_no_news_but_those_of_one_that_slept_are() -> None:
    always, sleeper = Gateway(Store()), Gateway(Store(), least=0)
    for gateway in (always, sleeper):
        gateway.runs()
        gateway.runs("a")
        await gateway.quiet()
    assert always.told == []
    assert sleeper.told == [("request", 0, 1)]


async def test_a_lost_replica_and_the_one_in_its_place_are_told_as_such() -> None:
    gateway = Gateway(Store(UP | {"target": 2}))
    gateway.runs("a", "b")
    gateway.runs("a", lost=True)
    await gateway.quiet()
    gateway.runs("a", "c", "d")
    await gateway.quiet()
    assert gateway.told == [("lost", 2, 1), ("replaced", 1, 3)]


async def test_a_successor_is_none_that_was_decided_on() -> None:
    gateway = Gateway(Store(UP | {"target": 2}))
    gateway.runs("a", "b")
    for replicas, lost in ((("a",), True), (("a", "c"), False), (("a",), False), (("a", "d"), False)):
        gateway.runs(*replicas, lost=lost)
        await gateway.quiet()
    assert gateway.told == [("lost", 2, 1), ("replaced", 1, 2), ("replaced", 2, 1), ("queued", 1, 2)]


async def test_going_to_sleep_is_told_each_time() -> None:
    gateway = Gateway(Store({"reason": "idle", "before": 1, "target": 0}), least=0)
    for name in ("a", "b"):
        gateway.runs(name)
        gateway.runs()
        await gateway.quiet()
    assert [one for one in gateway.told if one[2] == 0] == [("idle", 1, 0)] * 2


async def test_without_the_store_the_change_is_told_without_its_reason() -> None:
    gateway = Gateway(Away())
    gateway.runs("a")
    gateway.runs("a", "b")
    await gateway.quiet()
    assert gateway.told == [("replaced", 1, 2)]


async def test_old_claims_are_dropped() -> None:
    store = Store(UP)
    gateway = Gateway(store)
    for number in range(CLAIMS_KEPT + 10):
        gateway.runs(f"r{number}")
    await gateway.quiet()
    assert len(store.claims) == CLAIMS_KEPT


@pytest.mark.parametrize(
    ("before", "now", "decision", "reason"),
    [
        (1, 2, UP, "queued"),
        (2, 3, UP, "queued"),
        (3, 4, UP, "replaced"),  # more than was wanted: an update
        (3, 2, DOWN, "ongoing"),
        (2, 1, DOWN, "ongoing"),
        (2, 3, DOWN, "replaced"),
        (1, 0, {"reason": "idle", "before": 1, "target": 0}, "idle"),
        (0, 1, {}, "request"),
        (0, 1, {"reason": "request", "before": 0, "target": 1}, "request"),
        (0, 1, {"reason": "idle", "before": 1, "target": 0}, "request"),
        (1, 2, {}, "replaced"),
    ],
)
def test_a_decision_explains_what_it_meant(before: int, now: int, decision: dict[str, Any], reason: str) -> None:
    assert explain(before, now, decision, lost=False)[0] == reason


def test_a_death_explains_itself() -> None:
    assert explain(2, 1, DOWN, lost=True) == ("lost", {})
