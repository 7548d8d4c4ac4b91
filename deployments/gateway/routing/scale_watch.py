"""Each change of a model's replicas becomes one event, with the reason of the decision behind it.

Every gateway hears of a change from its own request router; the first to claim it tells of it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, Protocol

from cluster import serve_decisions
from cluster.catalog import deployment_name
from cluster.serve_replicas import RUNNING, ReplicaChange, ReplicaCounts
from cluster.settings.models import ModelSettings
from cluster.settings.tree import Settings
from deployments.gateway.routing.event_log import EventLog

logger = logging.getLogger(__name__)

SETTLE_S = 0.5  # the controller tells its decision a tick after it has acted on it
CLAIMS_KEPT = 64  # of this gateway; older ones are dropped, as all others have long heard of the change


class Decisions(Protocol):
    """What `cluster.serve_decisions` is."""

    def last(self, deployment: str) -> Mapping[str, Any] | None:
        """The last decision of a deployment."""
        ...

    def claim(self, deployment: str, change: str) -> bool:
        """Whether the caller is the first to claim a change."""
        ...

    def forget(self, deployment: str, change: str) -> None:
        """Drop a claim."""
        ...


class ScaleWatch:
    """Tells of the replicas of a gateway's models, from `begin` on, which is called on the gateway's loop."""

    def __init__(
        self,
        settings: Settings,
        events: EventLog,
        *,
        counts: ReplicaCounts = RUNNING,
        decisions: Decisions = serve_decisions,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._models = settings.started_models
        self._events = events
        self._counts = counts
        self._decisions = decisions
        self._settle_s = settle_s
        self._claims: deque[tuple[str, str]] = deque()
        self._seen: set[str] = set()  # models that have had a replica
        self._missing: dict[str, int] = {}  # replicas that died, and have no successor yet
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Follow the replicas of all models that are always there."""
        loop = asyncio.get_running_loop()
        for model in self._models:
            self._counts.follow(deployment_name(model.id), partial(self._heard, loop, model))

    def _heard(self, loop: asyncio.AbstractEventLoop, model: ModelSettings, change: ReplicaChange) -> None:
        # In a context of its own: it may be heard of in the midst of a request, and is not that one's doing.
        with suppress(RuntimeError):  # the gateway stops: its loop is closed, and Serve's router lives on a moment
            loop.call_soon_threadsafe(self._changed, model, change, context=Context())

    def _changed(self, model: ModelSettings, change: ReplicaChange) -> None:
        known = model.id in self._seen or model.replicas.min == 0
        if change.now:
            self._seen.add(model.id)
        if change.before is None or not known:
            return  # the gateway has just come, or the model has
        more = change.count - len(change.before)
        replaces = 0 < more <= self._missing.get(model.id, 0)
        if change.lost or replaces:
            self._missing[model.id] = self._missing.get(model.id, 0) - more
        task = asyncio.get_running_loop().create_task(self._tell(model, change, replaces=replaces))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, model: ModelSettings, change: ReplicaChange, *, replaces: bool) -> None:
        await asyncio.sleep(self._settle_s)
        try:
            decision = await asyncio.to_thread(self._claimed, change)
        except Exception:  # without Ray's store each gateway tells what it saw
            logger.warning("the reason for the replicas of %s is not known", model.id, exc_info=True)
            decision = {}
        if decision is None:
            return
        before, now = len(change.before or ()), change.count
        reason, inputs = explain(before, now, {} if replaces and before else decision, lost=change.lost)
        self._events.record("scale", model.id, reason, warn=change.lost, before=before, replicas=now, **inputs)

    def _claimed(self, change: ReplicaChange) -> Mapping[str, Any] | None:
        """The last decision, {} where there is none; None where another gateway tells of the change."""
        name = change.deployment
        claimed = [part for part in _parts(change) if self._decisions.claim(name, part)]
        if not claimed:
            return None
        self._claims += [(name, part) for part in claimed]
        while len(self._claims) > CLAIMS_KEPT:
            self._decisions.forget(*self._claims.popleft())
        return self._decisions.last(name) or {}


def explain(before: int, now: int, decision: Mapping[str, Any], *, lost: bool) -> tuple[str, dict[str, Any]]:
    """Why there are other replicas, and the figures of that. decision: the last one for the model.

    `lost`: one died. `replaced`: Serve put one in another's place, or an update did. `request`: one came to a
    model that slept. Else what the policy said.
    """
    if lost:
        return "lost", {}
    target = decision.get("target")
    meant = target is not None and (before < now <= target or target <= now < before)
    if before == 0 and now and (not meant or decision.get("before") == 0):
        return "request", {}
    if not meant:
        return "replaced", {}
    figures = {name: value for name, value in decision.items() if name not in ("reason", "before", "at")}
    return str(decision["reason"]), figures


def _parts(change: ReplicaChange) -> list[str]:
    """Who came and who went: the same at every gateway, however many changes reach it as one.

    Names of replicas are never given twice, so none of it ever happens again.
    """
    before = change.before or frozenset()
    return [f"+{name}" for name in sorted(change.now - before)] + [
        f"-{name}" for name in sorted(before - change.now)
    ]
