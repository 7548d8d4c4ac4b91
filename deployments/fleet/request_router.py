"""How a handle chooses a replica of a model: Serve's power of two choices, or the one that knows the request.

Serve sends this module by value to whoever has a handle, so what is of that process is imported in the call.
"""

from typing import Any

from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter  # Serve's default


class CountingRouter(PowerOfTwoChoicesRequestRouter):
    """Notes the number of running replicas whenever the controller, or the death of one, changes it."""

    def update_replicas(self, replicas: list[Any]) -> None:
        """The controller says which there are."""
        super().update_replicas(replicas)
        self._note(lost=False)

    def on_replica_actor_died(self, replica_id: Any) -> None:
        """One was found dead before the controller knew."""
        super().on_replica_actor_died(replica_id)
        self._note(lost=True)

    def _note(self, *, lost: bool) -> None:
        from cluster.serve_replicas import RUNNING

        replicas = frozenset(replica.unique_id for replica in self.curr_replicas)
        RUNNING.note(self._deployment_id.name, replicas, lost=lost)


class AffineRouter(CountingRouter):
    """Sends requests with a session id to the same replica, unless that has too much to do; others as Serve does.

    Serve's own routers were not used: ConsistentHashRouter knows no load and retries a full replica with growing
    pauses, PrefixCacheAffinityRouter blocks the event loop on an actor for each request (ADR 16).
    """

    async def choose_replicas(self, candidate_replicas: list[Any], pending_request: Any = None) -> list[list[Any]]:
        """The replica of the session first; after it, where that is full or silent, Serve's two."""
        others = await super().choose_replicas(candidate_replicas, pending_request)
        key = pending_request.metadata.session_id if pending_request is not None else ""
        if not key or len(candidate_replicas) < 2:
            return others
        from deployments.fleet.affinity import choose

        waiting = self.replica_queue_len_cache
        replicas = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        loads = {name: waiting.get(replica.replica_id) or 0 for name, replica in replicas.items()}
        chosen = choose(key, loads, most=candidate_replicas[0].max_ongoing_requests)
        return others if chosen is None else [[replicas[chosen]], *others]

    def _fulfill_next_pending_request(self, replica: Any, request_metadata: Any = None) -> None:
        """Give the replica to the request that it was chosen for, and not, as Serve's default, to the oldest.

        Serve's other routers find that by an id that calls of one HTTP request share; this by the request itself.
        """
        for place, pending in enumerate(self._pending_requests_to_fulfill):
            if pending.metadata is request_metadata and not pending.future.done():
                del self._pending_requests_to_fulfill[place]
                self._cancel_routing_task_for_pending_request(pending)
                self._record_queue_wait_time(pending)
                pending.future.set_result(replica)
                self._remove_pending_request_from_indices(pending)
                return
        # It has been answered or given up meanwhile; the next routing task asks for its own.
