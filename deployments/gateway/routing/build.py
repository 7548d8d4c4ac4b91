"""A gateway's router, from its settings."""

from collections.abc import Callable
from time import monotonic

from sqlalchemy import Engine

from cluster.settings.tree import Settings
from cluster.stores.events import EventStore
from deployments.gateway.limits.gate import Gate
from deployments.gateway.routing.breakers import Breakers
from deployments.gateway.routing.event_log import EventLog
from deployments.gateway.routing.router import Router


def open_router(
    settings: Settings,
    *,
    gate: Gate,
    engine: Engine | None = None,
    running: Callable[[str], int | None] = lambda _: None,
    clock: Callable[[], float] = monotonic,
) -> Router:
    """The router that the settings ask for. engine: of the database that its events go to, if they go anywhere.

    clock: of the breakers.
    """
    events = EventLog(settings.routing.events, store=None if engine is None else EventStore(engine))
    timeout_s = settings.limits.generation_timeout_ms / 1000
    breakers = Breakers(settings.routing.breaker, events=events, timeout_s=timeout_s, clock=clock)
    return Router(settings, gate=gate, breakers=breakers, events=events, running=running)
