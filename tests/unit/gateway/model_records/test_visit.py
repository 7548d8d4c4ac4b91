"""How a request at a model ended, and what is counted of it."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Generator

import pytest

from cluster.engines.completions import DONE
from cluster.errors import CircuitOpen, ContextTooLong, EngineDead, HeliostatError, Overloaded
from cluster.types import Usage
from deployments.gateway import timing
from deployments.gateway.limits.usage import Estimate
from deployments.gateway.model_records.book import Book
from deployments.gateway.model_records.visit import Visit, Visited
from deployments.gateway.timing import Timing

USAGE = {
    "prompt_tokens": 5,
    "total_tokens": 12,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 1},
}
ANSWER = json.dumps({"choices": [{"message": {"content": 'say "prompt_tokens": 99'}}], "usage": USAGE}).encode()
WORD = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'


class Kept:
    def __init__(self) -> None:
        self.visits: list[Visited] = []

    def name_of(self, model: str) -> str:
        return {"org/Echo": "echo"}.get(model, model)

    def add(self, visited: Visited) -> None:
        self.visits.append(visited)


class Clock:
    """Each look at it is half a second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


@pytest.fixture
def kept() -> Kept:
    return Kept()


def visit(kept: Kept, *, limit_s: float = 60.0) -> Visit:
    return Visit(kept, "echo", estimate=Estimate(prompt=4), limit_s=limit_s, clock=Clock())


def test_a_whole_answer_has_its_time_and_the_tokens_that_it_says(kept: Kept) -> None:
    with visit(kept) as one:
        one.whole(ANSWER)
    usage = Usage(prompt_tokens=5, completion_tokens=7)
    assert kept.visits == [Visited(model="echo", outcome="answered", response_s=0.5, usage=usage)]


def test_a_model_is_counted_by_its_own_name(kept: Kept) -> None:
    with Visit(kept, "org/Echo", estimate=Estimate(prompt=4), limit_s=60.0):
        pass
    assert kept.visits[0].model == "echo"


def test_a_stream_has_the_time_of_its_first_item_too(kept: Kept) -> None:
    with visit(kept) as one:
        for item in (WORD, WORD, b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n" + DONE):
            one.saw(item)
    (found,) = kept.visits
    assert (found.first_token_s, found.response_s) == (0.5, 1.0)
    assert (found.usage, found.estimated) == (Usage(prompt_tokens=5, completion_tokens=7), False)


def test_the_tokens_of_a_stream_that_does_not_tell_them_are_estimated(kept: Kept) -> None:
    with visit(kept) as one:
        for item in (WORD, *[WORD] * 6, WORD + DONE):
            one.saw(item)
    (found,) = kept.visits
    assert (found.usage, found.estimated) == (Usage(prompt_tokens=4, completion_tokens=6), True)


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (EngineDead("dead"), "failed", "engine_dead"),
        (CircuitOpen("open"), "failed", "circuit_open"),
        (HeliostatError("unforeseen"), "failed", "internal_error"),
        (RuntimeError("a bug"), "failed", "internal_error"),
        (Overloaded("full"), "refused", "rate_limit_exceeded"),
        (ContextTooLong("long"), "rejected", "context_length_exceeded"),
        (asyncio.CancelledError(), "cancelled", None),
        (GeneratorExit(), "cancelled", None),
    ],
)
def test_only_what_the_model_is_to_blame_for_is_a_failure(
    kept: Kept, error: BaseException, outcome: str, code: str | None
) -> None:
    with pytest.raises(type(error)), visit(kept):
        raise error
    assert kept.visits == [Visited(model="echo", outcome=outcome, error=code)]


def test_who_stops_reading_after_the_end_had_the_whole_answer(kept: Kept) -> None:
    def stream() -> Generator[None, None, None]:
        with visit(kept) as one:
            one.saw(WORD + DONE)
            yield

    reader = stream()
    next(reader)
    reader.close()
    assert kept.visits[0].outcome == "answered"


async def test_a_limit_that_is_over_is_why_it_was_cancelled(kept: Kept) -> None:
    def in_a_request(limit_s: float) -> None:
        timing.attach(Timing(Clock()))
        with pytest.raises(asyncio.CancelledError), visit(kept, limit_s=limit_s):
            raise asyncio.CancelledError

    for limit_s in (0.5, 60.0):
        await asyncio.to_thread(in_a_request, limit_s)  # in a context of its own
    assert [(one.outcome, one.error) for one in kept.visits] == [
        ("failed", "generation_timeout"),
        ("cancelled", None),
    ]


async def test_what_a_hung_up_stream_had_said_is_counted(kept: Kept) -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        with visit(kept) as one:
            for _ in range(8):
                one.saw(WORD)
                yield WORD

    stream = events()
    for _ in range(5):
        await anext(stream)
    await stream.aclose()
    (found,) = kept.visits
    assert (found.outcome, found.first_token_s) == ("cancelled", 0.5)
    assert found.usage is not None
    assert found.usage.completion_tokens > 0


def test_a_request_costs_microseconds(database_book: Book) -> None:
    items = [WORD * 16] * 8 + [WORD + DONE]

    def request() -> None:
        with Visit(database_book, "echo", estimate=Estimate(prompt=4), limit_s=60.0) as one:
            for item in items:
                one.saw(item)

    def timed(turns: int = 100) -> float:
        began = time.process_time()
        for _ in range(turns):
            request()
        return (time.process_time() - began) / turns

    # 12 on a machine of its own, which is asked for 20; on one that is full of other work nothing is that fast.
    assert min(timed() for _ in range(10)) < 60e-6
