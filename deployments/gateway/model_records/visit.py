"""One request at one model, from its place in the model's queue to the end of the answer.

How it ended, as it is counted. Only the second is an error of the model, as load balancers and hosted models'
metrics have it: what clients did wrong, and what was turned away to protect the model, is not.

    answered    the answer is whole
    failed      the model, or what serves it, failed: a status of 500 or above, a time limit
    refused     there was no room for it: 429
    rejected    the model cannot do what was asked: any other 4xx
    cancelled   whoever asked went away
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Protocol

from cluster.errors import GenerationTimeout, HeliostatError
from cluster.types import Usage
from deployments.gateway import timing
from deployments.gateway.limits.usage import Estimate, StreamCount, tokens_of
from deployments.gateway.routing import journey

ANSWERED, FAILED, REFUSED, REJECTED, CANCELLED = "answered", "failed", "refused", "rejected", "cancelled"
OUTCOMES = (ANSWERED, FAILED, REFUSED, REJECTED, CANCELLED)
DONE = b"[DONE]\n\n"  # ends a stream; who reads on hears nothing more
NEARLY_S = 0.001  # timers may end a little early


@dataclass(frozen=True, slots=True)
class End:
    """How a visit ended. error: its code."""

    outcome: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """What came of a visit. error: its code, where it has one. Times in seconds, None where none was taken.

    usage: its tokens, None where nobody knows any; estimated: no engine told them.
    """

    model: str
    outcome: str
    error: str | None = None
    response_s: float | None = None
    first_token_s: float | None = None
    usage: Usage | None = None
    estimated: bool = False


class Records(Protocol):
    """Where visits are counted."""

    def name_of(self, model: str) -> str:
        """A model's own name, whatever it was called when it was asked."""
        ...

    def add(self, visited: Visited) -> None:
        """A visit is over. Returns at once and never raises."""
        ...


class NoRecords:
    """Counts nothing."""

    def name_of(self, model: str) -> str:
        """The same."""
        return model

    def add(self, visited: Visited) -> None:
        """Nothing."""


class Visit:
    """`with` it while a model has the request. limit_s: of the generation; estimate: of its tokens.

    It changes nothing that goes through it, and lets every error pass.
    """

    __slots__ = (
        "_began",
        "_clock",
        "_count",
        "_estimate",
        "_first_s",
        "_limit_s",
        "_model",
        "_records",
        "usage",
    )

    def __init__(
        self,
        records: Records,
        model: str,
        *,
        estimate: Estimate,
        limit_s: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._records = records
        self._model = records.name_of(model)  # now, when it is known for certain: nothing is looked up
        self._estimate = estimate
        self._limit_s = limit_s
        self._clock = clock
        self._began = clock()
        self._first_s: float | None = None
        self._count = StreamCount()
        self.usage: Usage | None = None

    def __enter__(self) -> "Visit":
        return self

    def whole(self, answer: bytes) -> None:
        """The answer, in one piece."""
        self.usage = tokens_of(answer)

    def saw(self, item: bytes) -> None:
        """An item of a streamed one."""
        if self._first_s is None:
            self._first_s = self._clock() - self._began
        self._count.saw(item)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        spent_s = self._clock() - self._began
        end = End(ANSWERED) if error is None else self._ended(error)
        counted = None if self._first_s is None else self._count.tokens(self._estimate)
        self._records.add(
            Visited(
                model=self._model,
                outcome=end.outcome,
                error=end.error,
                response_s=spent_s if end.outcome == ANSWERED else None,
                first_token_s=self._first_s,
                usage=counted.usage if counted else self.usage,
                estimated=counted is not None and counted.estimated,
            )
        )

    def _ended(self, error: BaseException) -> End:
        if isinstance(error, HeliostatError) and error.status < 500:
            return End(REFUSED if error.status == 429 else REJECTED, error.code)
        if isinstance(error, GeneratorExit) and self._count.last.endswith(DONE):
            return End(ANSWERED)
        # Who cancels does not say why: a limit that is over is the reason, and also of the errors that it causes.
        late = overdue(self._limit_s)
        if late is not None:
            return End(FAILED, late.code)
        if isinstance(error, HeliostatError):
            return End(FAILED, error.code)
        return End(FAILED, HeliostatError.code) if isinstance(error, Exception) else End(CANCELLED)


def overdue(limit_s: float) -> GenerationTimeout | None:
    """The error of the request that this context answers, where its time is over; None where it is not."""
    if journey.within(limit_s) <= NEARLY_S:
        return journey.late(limit_s)
    watch = timing.current()
    return journey.late(limit_s) if watch is not None and watch.age_s + NEARLY_S >= limit_s else None
