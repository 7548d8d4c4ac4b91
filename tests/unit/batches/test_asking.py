"""One line: asked, tried again, and written as OpenAI writes it."""

import json
from typing import Any

import pytest

from cluster.errors import EngineFailure, Overloaded, ReplicaLost
from cluster.types import LineAnswer
from pipelines.batches.asking import LineRunner, request_id
from pipelines.batches.line import Line
from pipelines.sweeps.width import Width
from tests.unit.batches.conftest import ENDPOINT, Gateway, line

FULL = LineAnswer(status=429, body=b"{}", retryable=True, retry_after_s=0)
BROKEN = LineAnswer(status=500, body=b'{"error": {"code": "engine_error"}}', retryable=True)
BAD = LineAnswer(status=400, body=b'{"error": {"code": "invalid_request"}}')


async def answered(*script: LineAnswer | Exception, retries: int = 2, timeout_s: float = 5, **gateway: Any) -> Any:
    asked = Gateway(script={"say 1": list(script)}, **gateway)
    runner = LineRunner(
        asked.answer,
        Width(4),
        batch_id="batch_1",
        endpoint=ENDPOINT,
        owner="ann",
        models=frozenset({"m"}),
        retries=retries,
        timeout_s=timeout_s,
    )
    found = await runner.run(Line(number=3, custom_id="c\n1", body=json.dumps(line(1)["body"]).encode()))
    assert b"\n" not in found.output
    return found, json.loads(found.output), asked


async def test_an_answer_is_a_line_of_output() -> None:
    found, output, asked = await answered()
    assert (found.line, found.ok) == (3, True)
    own = request_id("batch_1", 3)
    assert own.startswith("batch_req_")
    response = {"status_code": 200, "request_id": own, "body": {"said": "say 1"}}
    assert output == {"id": own, "custom_id": "c\n1", "response": response, "error": None}
    call = asked.calls[0]
    assert (call.owner, call.models, call.endpoint, call.request_id) == ("ann", {"m"}, ENDPOINT, own)


async def test_a_refused_body_is_a_line_of_errors_with_the_refusal() -> None:
    found, output, asked = await answered(BAD)
    assert (found.ok, len(asked.asked)) == (False, 1)
    assert output["response"]["status_code"] == 400
    assert output["response"]["body"]["error"]["code"] == "invalid_request"
    assert output["error"] is None


@pytest.mark.parametrize("failure", [BROKEN, EngineFailure("x"), ReplicaLost("y")])
async def test_what_a_retry_helps_is_tried_again(failure: LineAnswer | Exception) -> None:
    found, _, asked = await answered(failure, failure)
    assert (found.ok, len(asked.asked)) == (True, 3)


async def test_retries_end() -> None:
    found, output, asked = await answered(*[BROKEN] * 9)
    assert (found.ok, len(asked.asked)) == (False, 3)
    assert output["response"]["status_code"] == 500


async def test_no_answer_at_all_is_an_error_without_a_response() -> None:
    _, output, _ = await answered(*[ReplicaLost("gone")] * 9)
    assert (output["response"], output["error"]) == (None, {"code": "replica_lost", "message": "gone"})
    _, output, _ = await answered(ValueError("odd"))
    assert output["error"] == {"code": "internal_error", "message": "ValueError: odd"}
    _, output, _ = await answered(timeout_s=0.01, stuck_after=0)
    assert output["error"]["code"] == "generation_timeout"


async def test_a_model_that_is_full_fails_no_line() -> None:
    found, _, asked = await answered(*[FULL, Overloaded("full", retry_after_s=0)] * 5, retries=0)
    assert (found.ok, len(asked.asked)) == (True, 11)


async def test_a_429_that_no_wait_helps_is_an_error() -> None:
    found, _, asked = await answered(LineAnswer(status=429, body=b"{}"))
    assert (found.ok, len(asked.asked)) == (False, 1)


async def test_an_answer_over_several_lines_becomes_one() -> None:
    _, output, _ = await answered(LineAnswer(status=200, body=b'{\n "a": 1\n}'))
    assert output["response"]["body"] == {"a": 1}
