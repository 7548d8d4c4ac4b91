"""The request router that keeps sessions together, over Serve's own classes and replicas that only count."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from ray.serve._private.common import DeploymentHandleSource, DeploymentID, ReplicaID, RequestMetadata
from ray.serve._private.request_router.common import PendingRequest

from cluster.serve_replicas import RUNNING
from deployments.fleet.request_router import AffineRouter

MOST = 8
MODEL = DeploymentID(name="routed", app_name="a")


class Replica:
    """As much of a running replica as a router looks at."""

    def __init__(self, name: str) -> None:
        self.replica_id = ReplicaID(unique_id=name, deployment_id=MODEL)
        self.max_ongoing_requests = MOST
        self.node_id, self.availability_zone = "n", None
        self.multiplexed_model_ids: set[str] = set()
        self.load = 0

    async def get_queue_len(self, *, deadline_s: float) -> int:
        return self.load


async def router_of(*names: str) -> tuple[AffineRouter, list[Replica]]:
    router = AffineRouter(
        deployment_id=MODEL,
        handle_source=DeploymentHandleSource.REPLICA,
        use_replica_queue_len_cache=True,
    )
    replicas = [Replica(name) for name in names]
    router.update_replicas(replicas)
    await asyncio.sleep(0)
    return router, replicas


async def routed(router: AffineRouter, session: str = "", *, request: str = "shared") -> str:
    """Where a request goes; it stays there. Calls of one HTTP request share its id, as here."""
    metadata = RequestMetadata(request_id=request, internal_request_id=request, session_id=session)
    pending = PendingRequest(args=[], kwargs={}, metadata=metadata)
    async with asyncio.timeout(5):
        replica: Any = await router._choose_replica_for_request(pending)
    router.on_send_request(replica.replica_id)
    replica.load += 1
    return str(replica.replica_id.unique_id)


async def test_a_session_stays_where_it_is_until_that_has_more_than_its_share() -> None:
    router, _ = await router_of("a", "b", "c")
    went = [await routed(router, "s") for _ in range(4)]
    assert len(set(went)) == 1
    more = Counter([await routed(router, "s") for _ in range(14)])
    assert len(more) == 3  # nothing waits for a place where others have room
    assert max((Counter(went) + more).values()) <= MOST


async def test_calls_at_once_that_share_an_id_each_get_their_own_sessions_replica() -> None:
    router, _ = await router_of("a", "b", "c", "d")
    sessions = [f"s{number}" for number in range(12)]
    alone = {}
    for session in sessions:
        fresh, _ = await router_of("a", "b", "c", "d")
        alone[session] = await routed(fresh, session)
    together = await asyncio.gather(*(routed(router, session) for session in sessions))
    loads = Counter(together)
    kept = [session for session, replica in zip(sessions, together, strict=True) if replica == alone[session]]
    assert max(loads.values()) <= 4
    assert len(kept) >= 9  # those whose home was not full


async def test_without_a_session_the_load_alone_counts() -> None:
    router, _ = await router_of("a", "b")
    assert Counter([await routed(router) for _ in range(8)]) == {"a": 4, "b": 4}


async def test_a_session_moves_when_its_replica_dies_and_the_number_is_noted() -> None:
    router, replicas = await router_of("a", "b")
    home = await routed(router, "s")
    assert RUNNING.of("routed") == 2
    dead = next(replica for replica in replicas if replica.replica_id.unique_id == home)
    router.on_replica_actor_died(dead.replica_id)
    assert RUNNING.of("routed") == 1
    assert await routed(router, "s") != home


async def test_a_request_waits_where_all_are_full_and_goes_where_room_comes_first() -> None:
    router, replicas = await router_of("a", "b")
    for _ in range(2 * MOST):
        await routed(router, "s")
    waiting = asyncio.create_task(routed(router, "s"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    replicas[1].load -= 1
    router.on_new_queue_len_info(replicas[1].replica_id, MOST - 1)
    assert await waiting == replicas[1].replica_id.unique_id


@pytest.mark.parametrize("session", ["", "s"])
async def test_a_request_that_is_given_up_leaves_nothing_behind(session: str) -> None:
    router, replicas = await router_of("a")
    replicas[0].load = MOST
    router.on_new_queue_len_info(replicas[0].replica_id, MOST)
    waiting = asyncio.create_task(routed(router, session))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    replicas[0].load = 0
    router.on_new_queue_len_info(replicas[0].replica_id, 0)
    assert await routed(router, session) == "a"
    await asyncio.sleep(0)
    assert router.num_pending_requests == 0
