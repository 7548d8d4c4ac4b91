"""How a handle chooses a replica of a model: Serve's power of two choices, that also says how many there are.

Serve sends this module by value to whoever has a handle, so what is of that process is imported in the call.
"""

from typing import Any

from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter  # Serve's default


class CountingRouter(PowerOfTwoChoicesRequestRouter):
    """Notes the number of running replicas whenever the controller, or the death of one, changes it."""

    def update_replicas(self, replicas: list[Any]) -> None:
        """The controller says which there are."""
        super().update_replicas(replicas)
        self._note()

    def on_replica_actor_died(self, replica_id: Any) -> None:
        """One was found dead before the controller knew."""
        super().on_replica_actor_died(replica_id)
        self._note()

    def _note(self) -> None:
        from cluster.serve_replicas import RUNNING

        RUNNING.note(self._deployment_id.name, len(self.curr_replicas))
