"""The client's deadline: it shortens ours, stops the generation, and wrong ones are refused by name."""

import asyncio
import time

import pytest

from cluster.errors import BadRequest, DeadlineExceeded, GenerationTimeout
from deployments.gateway.routing import journey
from deployments.gateway.routing.journey import Journey
from tests.unit.gateway.routing.conftest import house
from tests.unit.waiting import until

SLOW = {"a": {"token_delay_s": 0.01, "tokens": 500}}


def read(now: float = 100.0, **headers: str) -> Journey:
    this = Journey("r")
    this.read({name.replace("_", "-"): text for name, text in headers.items()}, now)
    return this


def test_milliseconds_are_counted_from_the_requests_arrival() -> None:
    assert read(x_heliostat_timeout_ms="2500").deadline == 102.5


def test_serves_own_header_ends_a_little_before_serve_would_cut() -> None:
    assert read(x_request_timeout_seconds="10").deadline == pytest.approx(109.9)
    assert read(x_request_timeout_seconds="0.5").deadline == pytest.approx(100.45)


def test_the_sooner_of_two_deadlines_holds() -> None:
    assert read(x_heliostat_timeout_ms="9000", x_request_timeout_seconds="2").deadline == pytest.approx(101.9)


def test_what_a_client_library_sends_by_itself_cuts_nothing_and_is_known() -> None:
    this = read(x_stainless_read_timeout="5")
    assert (this.deadline, this.patience) == (None, 105.0)


@pytest.mark.parametrize("said", ["NOT_GIVEN", "nan", "", "five"])
def test_a_client_librarys_odd_value_is_no_reason_to_refuse(said: str) -> None:
    assert read(x_stainless_timeout=said).patience is None


@pytest.mark.parametrize("said", ["0", "-1", "soon", "nan", "inf", "", "1e999"])
@pytest.mark.parametrize("name", ["x-heliostat-timeout-ms", "x-request-timeout-seconds"])
def test_a_deadline_that_is_none_is_refused_by_its_name(name: str, said: str) -> None:
    with pytest.raises(BadRequest) as raised:
        Journey().read({name: said}, 0.0)
    assert raised.value.param == name


async def test_outside_of_a_request_the_limit_is_ours() -> None:
    assert journey.within(7.0) == 7.0
    error = journey.late(7.0)
    assert isinstance(error, GenerationTimeout)
    assert not isinstance(error, DeadlineExceeded)


async def test_a_bad_header_is_400_over_http_in_openais_shape() -> None:
    gateway = await house({"a": {}})
    answer = await gateway.ask("a", {"x-heliostat-timeout-ms": "soon"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "x-heliostat-timeout-ms")
    assert gateway.models["a"].calls == 0


@pytest.mark.parametrize("header", [("x-heliostat-timeout-ms", "100"), ("x-request-timeout-seconds", "0.1")])
async def test_a_whole_answer_that_takes_too_long_is_504_and_is_stopped(header: tuple[str, str]) -> None:
    gateway = await house({"a": {}}, scripts=SLOW)
    begun = time.monotonic()
    answer = await gateway.ask("a", dict([header]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert header[0] in answer.json()["error"]["message"]
    assert answer.headers["x-should-retry"] == "false"
    assert time.monotonic() - begun < 4.5  # the whole answer takes 5
    assert (gateway.models["a"].engine.running, gateway.gate.queue("a").running) == (0, 0)


async def test_a_stream_is_cut_with_an_error_event_and_is_stopped() -> None:
    gateway = await house({"a": {}}, scripts=SLOW)
    answer = await gateway.ask("a", {"x-heliostat-timeout-ms": "300"}, stream=True)
    assert answer.status_code == 200
    assert '"code": "deadline_exceeded"' in answer.text
    assert "[DONE]" not in answer.text
    assert (gateway.models["a"].engine.running, gateway.gate.queue("a").running) == (0, 0)


async def test_a_stream_without_a_first_token_in_time_has_the_status_504() -> None:
    gateway = await house({"a": {}}, scripts={"a": {"first_token_delay_s": 5.0}})
    answer = await gateway.ask("a", {"x-heliostat-timeout-ms": "50"}, stream=True)
    assert (answer.status_code, gateway.models["a"].engine.running) == (504, 0)


async def test_a_deadline_longer_than_our_limit_changes_nothing() -> None:
    gateway = await house({"a": {}}, scripts=SLOW, limits={"generation_timeout_ms": 60})
    answer = await gateway.ask("a", {"x-heliostat-timeout-ms": "60000"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "generation_timeout")


async def test_waiting_for_a_place_counts_and_leaves_no_one_waiting() -> None:
    gateway = await house({"a": {}}, scripts=SLOW, limits={"queue": {"at_once": 1}})
    first = asyncio.create_task(gateway.ask("a", {"x-heliostat-timeout-ms": "600"}))
    await until(lambda: gateway.gate.queue("a").running)
    second = await gateway.ask("a", {"x-heliostat-timeout-ms": "50"})
    assert (second.status_code, gateway.gate.queue("a").waiting) == (504, 0)
    assert (await first).status_code == 504


async def test_a_clients_short_deadlines_do_not_speak_against_the_model() -> None:
    gateway = await house({"a": {}}, scripts=SLOW)
    await asyncio.gather(*(gateway.ask("a", {"x-heliostat-timeout-ms": "30"}) for _ in range(8)))
    assert gateway.router.breakers.states() == {"a": "closed"}


async def test_a_model_that_lets_every_request_run_into_our_limit_is_left_alone() -> None:
    gateway = await house({"a": {}}, scripts=SLOW, limits={"generation_timeout_ms": 250})
    await asyncio.gather(*(gateway.ask("a") for _ in range(5)))
    assert gateway.router.breakers.states() == {"a": "open"}


async def test_what_goes_on_after_the_answer_has_no_deadline() -> None:
    this = read(x_heliostat_timeout_ms="1")
    this.end()
    assert this.deadline is None
