"""How many replicas a model should have: a pure decision, and the policy that Serve asks for it.

Serve's controller calls a policy ten times a second and applies the delays and bounds of the settings to what it
says. Serve sends this module by value to its controller, which may be another installation's: at module level it
imports nothing of ours.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

STEP = 2.0  # a wait that is too long at most doubles the replicas at once: it shows what is missing only roughly
HOLD = 0.5  # below that part of a limit a replica may go; above it the rest would soon be over the limit again
KEPT = "heliostat"  # our part of the state that Serve keeps for a policy

# The names of the figures that replicas record, see `waits.Waits.figures`
TTFT, WAITING, QUEUED = "ttft_p95_ms", "waiting", "queued"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is aimed at. ongoing: requests a replica. queued: of them, waiting. None: that brings no replicas."""

    ongoing: float
    ttft_p95_ms: float | None = None
    queued: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How it is. running: replicas. target: those that are wanted so far. ongoing, queued: of all together."""

    running: int
    target: int
    ongoing: float
    queued: float = 0.0
    ttft_p95_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """So many replicas, and what asks for the most: `ongoing`, `queued`, `ttft_p95_ms`, `starting` or `idle`."""

    replicas: float
    reason: str


def decide(load: Load, aim: Aim) -> Decision:
    """The most that any of the aims asks for. Not yet bounded, nor delayed."""
    if load.running == 0:
        return Decision(replicas=float(load.target), reason="starting" if load.target else "idle")
    wishes = [Decision(replicas=load.ongoing / aim.ongoing, reason="ongoing")]
    wishes += _wish(load.queued / load.running, aim.queued, load.running, "queued")
    wishes += _wish(load.ttft_p95_ms if load.ongoing else 0.0, aim.ttft_p95_ms, load.running, TTFT)
    if load.running < load.target and load.ongoing:
        wishes.append(Decision(replicas=float(load.target), reason="starting"))
    most = max(wishes, key=lambda wish: wish.replicas)
    return most if most.replicas > 0 else Decision(replicas=0.0, reason="idle")


def _wish(value: float, limit: float | None, running: int, reason: str) -> list[Decision]:
    """What a wait asks for: more where it is too long, as many as there are where it nearly is."""
    if limit is None or value <= HOLD * limit:
        return []
    factor = min(STEP, max(1.0, value / limit))
    return [Decision(replicas=running * factor, reason=reason)]


class Policy:
    """Serve's custom autoscaling policy. What was decided, and why, is told where gateways look for it."""

    def __init__(self, ongoing: float, ttft_p95_ms: float | None = None, queued: float | None = None) -> None:
        self._aim = Aim(ongoing=ongoing, ttft_p95_ms=ttft_p95_ms, queued=queued)

    def __call__(self, ctx: Any) -> tuple[float, dict[str, Any]]:
        """The number of replicas for Serve's `AutoscalingContext`, and the state for the next call."""
        load = load_of(ctx)
        decision = decide(load, self._aim)
        last = ctx.policy_state.get(KEPT)
        if last is None:  # just deployed: what was decided before explains nothing that comes now
            remember(ctx, {})
        elif last["target"] != load.target:
            # Serve has applied what was said here before, or started a replica for a request that found none.
            reason = last["reason"] if last["target"] else "request"
            tell(ctx, {"reason": reason, "before": last["target"], "target": load.target, **last["inputs"]})
        inputs = {
            name: round(value, 1) for name, value in asdict(load).items() if name not in ("target", "running")
        }
        return decision.replicas, {KEPT: {"target": load.target, "reason": decision.reason, "inputs": inputs}}


def load_of(ctx: Any) -> Load:
    """What Serve's context says of the load. Figures of replicas are their last ones: they are windows already."""
    figures = {name: _latest(series) for name, series in (ctx.raw_metrics or {}).items()}
    waiting = sum(figures.get(WAITING, ()))
    at_gateways = max(figures.get(QUEUED, ()), default=0.0)  # each replica hears of the same queues
    return Load(
        running=ctx.current_num_replicas,
        target=ctx.target_num_replicas,
        ongoing=float(ctx.total_num_requests),
        queued=float(ctx.total_queued_requests or 0.0) + waiting + at_gateways,
        ttft_p95_ms=max(figures.get(TTFT, ()), default=0.0),
    )


def _latest(series: Mapping[Any, Any]) -> list[float]:
    return [float(points[-1].value) for points in series.values() if points]


def tell(ctx: Any, decision: dict[str, Any]) -> None:
    """Log a decision, and put it where gateways find it."""
    logging.getLogger("ray.serve").info("scale of %s: %s", ctx.deployment_name, decision)
    remember(ctx, {**decision, "at": time.time()})


def remember(ctx: Any, decision: dict[str, Any]) -> None:
    """Put a decision where gateways find it. That this fails changes nothing in the decision."""
    try:
        from cluster.serve_decisions import put

        put(ctx.deployment_name, decision)
    except Exception:  # whatever is wrong with it, replicas must come and go
        logging.getLogger("ray.serve").warning("a decision could not be told to the gateways", exc_info=True)
