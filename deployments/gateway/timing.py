"""Where each request's time went: the header `x-heliostat-timing`, and metrics.

    gateway      in the gateway itself: reading and checking the request, writing the answer
    queue        waiting for admission, and for a place in the engine's batch where the engine tells that
    route        to the engine and back: Serve, its queue, the replica, and tries with replicas that were lost
    prefill      in the engine, to the first token; with its queue where the engine does not tell them apart
    first_token  from the request's arrival until its first token leaves; of a whole answer, until it is made
    total        from the request's arrival to the end of the answer

Milliseconds, written as `Server-Timing` is. A stage that nobody measured is left out, so that no figure is a
guess: an answer that no model gave has gateway and total; a stream's header goes out before its total is known.
Of a stream, gateway + queue + route + prefill is first_token. No clock of one machine is compared with another's:
route is what is left of the time that the gateway waited without what the replica says it took.
"""

from collections.abc import Callable
from contextvars import ContextVar
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import HeliostatError
from cluster.timing import listen
from cluster.types import EngineTiming
from deployments.gateway.metrics import Answered, Metrics, NoMetrics

HEADER = b"x-heliostat-timing"
STREAMS = (b"text/event-stream", b"application/x-ndjson")
HUNG_UP = 499  # nginx's status of a client that did not wait; it is only counted, never sent

_current: ContextVar["Timing | None"] = ContextVar("heliostat_request_timing", default=None)


class Timing:
    """One request's moments, in seconds of one clock. broken: the error that ended its stream."""

    __slots__ = ("_answered", "_arrived", "_clock", "_engine", "_left", "_queue_s", "_sent", "broken", "model")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._arrived = clock()
        self._sent: float | None = None
        self._answered: float | None = None
        self._left: float | None = None  # when a stream's first bytes went on to the client
        self._queue_s = 0.0
        self._engine = EngineTiming()
        self.model: str | None = None
        self.broken: HeliostatError | None = None

    @property
    def age_s(self) -> float:
        """Since the request arrived."""
        return self._clock() - self._arrived

    def queued(self, seconds: float) -> None:
        """It waited that long for admission, between its arrival and its going to a model."""
        self._queue_s += seconds

    def asked(self, model: str) -> None:
        """It goes to a model now; a further try is of the same way."""
        self.model = model
        if self._sent is None:
            self._sent = self._clock()

    def answered(self) -> None:
        """The model's first bytes are here: of a whole answer, all."""
        self._answered = self._clock()

    def hear(self, engine: EngineTiming) -> None:
        """What the replica says of itself."""
        self._engine = engine

    def stages(self, *, streamed: bool, ended: bool) -> dict[str, float]:
        """Seconds of each stage that is known now. streamed: the answer is; ended: it is whole."""
        now = self._clock()
        found: dict[str, float] = {}
        if self._sent is None or self._answered is None:
            found["gateway"] = now - self._arrived - self._queue_s
            found["queue"] = self._queue_s
        else:
            engine, back = self._engine, self._answered - self._sent
            if streamed and not ended:
                self._left = now
            # What comes after the first bytes of a stream is the model's time, not the gateway's.
            left = (self._left or self._answered) if streamed else now
            found["gateway"] = self._sent - self._arrived - self._queue_s + left - self._answered
            found["queue"] = self._queue_s + (engine.queue_s or 0.0)
            if engine.spent_s is not None and streamed and engine.prefill_s is not None:
                found["route"] = back - (engine.queue_s or 0.0) - engine.prefill_s
            elif engine.spent_s is not None:
                found["route"] = back - engine.spent_s
            if engine.prefill_s is not None:
                found["prefill"] = engine.prefill_s
            if streamed:
                found["first_token"] = left - self._arrived
            elif engine.prefill_s is not None:
                before = self._sent - self._arrived + found.get("route", 0.0)
                found["first_token"] = before + (engine.queue_s or 0.0) + engine.prefill_s
        if ended:
            found["total"] = now - self._arrived
        return found


def current() -> Timing | None:
    """The timing of the request that this context answers; None outside of one."""
    return _current.get()


def attach(timing: Timing) -> None:
    """Let what this context asks of models count for a request that another context answers."""
    _current.set(timing)
    listen(timing.hear)


def broke(error: HeliostatError) -> HeliostatError:
    """Note that the stream of this context's request ends with an error, and hand the error back."""
    timing = _current.get()
    if timing is not None:
        timing.broken = error
    return error


class Timings:
    """ASGI middleware that times each request and writes the header. The outermost, so that it sees everything."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._app = app
        self._metrics = metrics or NoMetrics()
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        timing = Timing(self._clock)
        token = _current.set(timing)
        listen(timing.hear)
        status, streamed, ended = HUNG_UP, False, False

        async def timed_send(message: Message) -> None:
            nonlocal status, streamed, ended
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message.get("headers", ()))
                streamed = any(name == b"content-type" and kind.startswith(STREAMS) for name, kind in headers)
                stages = timing.stages(streamed=streamed, ended=not streamed)
                message = {**message, "headers": [*headers, (HEADER, _written(stages))]}
            elif message["type"] == "http.response.body":
                ended = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, timed_send)
        finally:
            _current.reset(token)
            if timing.model is not None:
                if not ended:
                    status = HUNG_UP
                elif timing.broken is not None:
                    status = timing.broken.status
                stages = timing.stages(streamed=streamed, ended=True)
                api: str = getattr(scope.get("route"), "path", "")
                self._metrics.answered(Answered(model=timing.model, api=api, status=status, stages=stages))


def _written(stages: dict[str, float]) -> bytes:
    # The difference of two clocks' durations may be a little less than nothing.
    return ", ".join([f"{name};dur={max(0.0, seconds) * 1000:.2f}" for name, seconds in stages.items()]).encode()
