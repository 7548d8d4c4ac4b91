"""What a replica tells of the waits of its calls."""

from contextlib import ExitStack

import pytest

from cluster.types import ChatCall, EngineTiming
from deployments.fleet.waits import HEARD_S, WINDOW_S, Waits


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def call(*, waited_s: float = 0.0, queued: int = 0) -> ChatCall:
    return ChatCall(body=b"{}", request_id="r", waited_s=waited_s, queued=queued)


def test_a_replica_that_was_never_asked_tells_nothings() -> None:
    assert Waits().figures() == {"ttft_p95_ms": 0.0, "waiting": 0.0, "queued": 0.0}


def test_the_wait_in_the_gateway_is_part_of_the_time_to_the_first_token() -> None:
    clock = Clock()
    waits = Waits(clock=clock)
    with waits.stream(call(waited_s=0.5)) as began:
        clock.now += 0.25
        began()
        clock.now += 9
        began()  # a stream has one first token
    assert waits.figures()["ttft_p95_ms"] == 750


def test_streams_without_a_first_token_wait_and_those_that_fail_do_no_longer() -> None:
    waits = Waits()
    with ExitStack() as stack:
        first = stack.enter_context(waits.stream(call()))
        stack.enter_context(waits.stream(call()))
        first()
        assert waits.figures()["waiting"] == 1
    assert waits.figures()["waiting"] == 0
    with pytest.raises(ValueError, match="broken"), waits.stream(call()):
        raise ValueError("broken")
    assert waits.figures()["waiting"] == 0


def test_a_whole_answer_counts_where_the_engine_says_when_its_first_token_came() -> None:
    waits = Waits()
    waits.whole(call(waited_s=0.1), EngineTiming(queue_s=0.2, prefill_s=0.3))
    waits.whole(call(waited_s=5), EngineTiming(spent_s=9))
    assert waits.figures()["ttft_p95_ms"] == pytest.approx(600)


def test_p95_is_of_the_window_and_old_waits_leave_it() -> None:
    clock = Clock()
    waits = Waits(clock=clock)
    for number in range(100):
        waits.whole(call(), EngineTiming(prefill_s=number / 1000))
    assert waits.figures()["ttft_p95_ms"] == pytest.approx(95)
    clock.now = WINDOW_S + 1
    assert waits.figures()["ttft_p95_ms"] == 0


def test_the_queues_of_all_gateways_are_like_the_one_that_was_heard_of_until_it_is_silent() -> None:
    clock = Clock()
    waits = Waits(gateways=2, clock=clock)
    with waits.stream(call(queued=3)) as began:
        began()
    assert waits.figures()["queued"] == 6
    clock.now = HEARD_S + 1
    assert waits.figures()["queued"] == 0
