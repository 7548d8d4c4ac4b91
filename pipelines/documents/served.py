"""A deployment of the running application as a pipeline calls it: by name, blocking, patient with a restart."""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from cluster.errors import HeliostatError, Unavailable

PATIENCE_S = 90.0  # a killed replica is back within about 10 s, on a busy machine in a minute
PAUSE_S = 1.0
LOCK = threading.Lock()  # of the making of the loop
Connect = Callable[[], None]


class Served:
    """One deployment. Every call may be made twice, so only what changes nothing the second time is called here.

    connect: becomes a driver of the cluster, once, before the first call; a worker of Ray's is one already.
    """

    def __init__(self, application: str, deployment: str, connect: Connect | None = None) -> None:
        self._application = application
        self._deployment = deployment
        self._connect = connect
        self._lock = threading.Lock()
        self._handle: Any = None

    def call(self, method: str, *args: Any, patience_s: float = PATIENCE_S, **options: Any) -> Any:
        """What the method returns. Raises its errors, and Unavailable when the deployment stays away."""
        self._get_ready()
        deadline = time.monotonic() + patience_s
        while True:
            try:
                return asyncio.run_coroutine_threadsafe(self._ask(method, args, options), _loop()).result()
            except Exception as error:  # the border of the process: everything is translated here, once
                ours = self._translated(error)
                if not isinstance(ours, Unavailable) or time.monotonic() > deadline:
                    raise ours from error
                time.sleep(PAUSE_S)

    def _get_ready(self) -> None:
        with self._lock:
            if self._handle is None:
                if self._connect is not None:
                    self._connect()
                from ray import serve

                self._handle = serve.get_deployment_handle(self._deployment, self._application)

    async def _ask(self, method: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        return await getattr(self._handle, method).remote(*args, **options)

    def _translated(self, error: Exception) -> Exception:
        from ray.exceptions import RayActorError, RayTaskError
        from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException

        if isinstance(error, RayTaskError) and isinstance(error.cause, HeliostatError):
            return error.cause
        if isinstance(error, RayActorError | DeploymentUnavailableError | BackPressureError | RayServeException):
            told = f"The deployment {self._deployment} is away: {type(error).__name__}"
            return Unavailable(told, hint="heliostat status")
        return error


@cache
def _made_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="served", daemon=True).start()
    return loop


def _loop() -> asyncio.AbstractEventLoop:
    """Where all handles of this process are called.

    Serve gives two handles of one deployment the same router, which works on the event loop that it was first
    called on and on no other.
    """
    with LOCK:
        return _made_loop()
