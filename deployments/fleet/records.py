"""The fleet's events among the cluster's decision events: written by the one manager, so that none is there twice.

Gateways show them beside their own, and tell them apart by their `gateway`, which is `fleet`.
"""

from cluster.settings.tree import Settings
from cluster.stores.database import engine_of
from cluster.stores.decision_log import FLEET, DecisionLog
from cluster.stores.events import EventStore
from cluster.types import ModelEvent

KINDS = {
    "waiting": "load_waits",
    "loading": "load",
    "again": "load_again",
    "ready": "ready",
    "failed": "load_failed",
    "unloading": "unload",
    "unloaded": "unloaded",
    "pinned": "pin",
    "unpinned": "unpin",
    "lapsed": "lapse",
}
FOR_OTHERS = frozenset({"memory", "count", "out_of_memory"})  # why a model goes that nobody wanted gone


def open_log(settings: Settings) -> DecisionLog:
    """The fleet's log. It connects to nothing before the first event."""
    store = EventStore(engine_of(settings.database_url))
    return DecisionLog(settings.routing.events, store=store, source=FLEET)


def record(log: DecisionLog, event: ModelEvent) -> None:
    """Note what has happened to a model; that it is wanted is told with its load."""
    kind = kind_of(event)
    if kind is not None:
        inputs = {"said": event.reason, **event.inputs} if event.reason else dict(event.inputs)
        log.record(kind, event.model, event.code or event.what, warn=kind == "load_failed", **inputs)


def kind_of(event: ModelEvent) -> str | None:
    """The kind of decision that it is; None is none."""
    if event.what == "unloading" and event.code in FOR_OTHERS:
        return "evict"
    return KINDS.get(event.what)
