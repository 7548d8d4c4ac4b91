"""How an engine says where a call's time went, without a byte of it in the answer.

An engine `tell`s what it knows, in the context of the call that it answers; whoever brought the call there
listens. Nobody has to: an engine that says nothing is timed from outside, by its first event.
"""

from collections.abc import Callable
from contextvars import ContextVar
from time import monotonic

from cluster.types import EngineTiming

_listener: ContextVar[Callable[[EngineTiming], None] | None] = ContextVar("heliostat_timing", default=None)
_watch: ContextVar["Watch | None"] = ContextVar("heliostat_watch", default=None)


def tell(timing: EngineTiming) -> None:
    """Say how long this context's call took so far; a later word replaces an earlier one."""
    listener = _listener.get()
    if listener is not None:
        listener(timing)


def listen(listener: Callable[[EngineTiming], None]) -> None:
    """Have `listener` called with what is told in this context, and in tasks that are made in it from now on.

    It ends with the context: each request of a replica and of a gateway has a task, so a context, of its own.
    """
    _listener.set(listener)


def first_token() -> Callable[[], None] | None:
    """What an engine calls, from any context, when this context's call has its first token; None: nobody times it.

    Of several answers to one call the first counts.
    """
    watch = _watch.get()
    return None if watch is None else watch.first_token


class Watch:
    """One call in a replica, from its arrival on. Made in the call's own context."""

    def __init__(self) -> None:
        self._begun = monotonic()
        self._told = EngineTiming()
        listen(self._hear)
        _watch.set(self)

    def _hear(self, timing: EngineTiming) -> None:
        self._told = timing

    def first_token(self) -> None:
        """The engine has it; what it says before and after is not changed by that."""
        if self._told.prefill_s is None:
            self._told = EngineTiming(prefill_s=monotonic() - self._begun)

    def whole(self) -> EngineTiming:
        """At the end of a whole answer: prefill is known only where the engine told it."""
        told = self._told
        return EngineTiming(queue_s=told.queue_s, prefill_s=told.prefill_s, spent_s=monotonic() - self._begun)

    def opened(self) -> EngineTiming:
        """At the first event of a stream: of an engine that told nothing, all until then is prefill."""
        told, spent = self._told, monotonic() - self._begun
        prefill = spent if told.prefill_s is None else told.prefill_s
        return EngineTiming(queue_s=told.queue_s, prefill_s=prefill, spent_s=spent)
