"""The gateway as a batch sees it, by its application's name: lines get the same answers as any client.

So every endpoint has one implementation, with one set of checks and errors. Its replicas pass the lines on to
the models at background priority.
"""

import asyncio
from typing import Any, cast

from cluster.serve_errors import translate
from cluster.types import LineAnswer, LineCall


class ServedGateway:
    """The gateway of an application; made inside the loop that uses it."""

    def __init__(self, application: str) -> None:
        from ray import serve

        self._handle: Any = serve.get_app_handle(application)

    async def answer(self, call: LineCall) -> LineAnswer:
        """One line's answer; cancelling it stops the generation. Raises ReplicaLost, and what Ray raises."""
        response = self._handle.answer.remote(call)
        try:
            return cast(LineAnswer, await response)
        except asyncio.CancelledError:
            response.cancel()  # awaiting it alone leaves the replica at work for nobody
            raise
        except Exception as error:  # the border of the process: everything is translated here, once
            raise translate(error) from error
