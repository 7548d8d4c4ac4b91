"""The end of a replica whose engine is dead."""

import asyncio
import logging
import os

from cluster.errors import EngineDead

logger = logging.getLogger(__name__)

GRACE_S = 0.1  # for the errors of the calls that the engine took with it: they should leave before the process does
EXIT_CODE = 70


class Ending:
    """Ends the process of one replica, once. model: whose replica it is."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._begun = False

    def expected(self) -> None:
        """The replica is being stopped anyway: that its engine is gone is no surprise."""
        self._begun = True

    def begin(self, error: EngineDead) -> None:
        """The engine is dead. Outside of a Ray actor, as in Serve's local testing mode, nothing happens."""
        if self._begun or not in_actor():
            return
        self._begun = True
        logger.error("%s: a replica of %s ends, for another to take its place", error.message, self._model)
        asyncio.get_running_loop().call_later(GRACE_S, os._exit, EXIT_CODE)


def in_actor() -> bool:
    """Whether this is a replica in a cluster, and not Serve's local testing mode or a test."""
    import ray

    return ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None
