"""Lines of batches: the same routes, checks and errors as over HTTP, at background priority."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter

from cluster.errors import Conflict, Overloaded
from cluster.types import ChatCall, LineAnswer, LineCall, Priority
from deployments.clients import Backends
from deployments.gateway.app import build_lines
from deployments.gateway.openai.lines import Lines
from tests.unit.gateway.conftest import LocalEmbedder, LocalModel, settings_with, started
from tests.unit.waiting import until

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}


def lines_over(model: LocalModel, **changes: Any) -> Lines:
    backends = Backends(models={"echo": model}, embedder=LocalEmbedder())
    return build_lines(backends, settings_with(**changes))


def call(body: dict[str, Any], endpoint: str = "/v1/chat/completions", **changes: Any) -> LineCall:
    fields = {"request_id": "batch_req_1", "owner": "ann", **changes}
    return LineCall(endpoint=endpoint, body=json.dumps(body).encode(), **fields)


def error_of(answer: LineAnswer) -> tuple[int, str, str | None]:
    error = json.loads(answer.body)["error"]
    return answer.status, error["code"], error["param"]


async def test_a_chat_is_answered_at_background_priority() -> None:
    model = await started()
    seen: list[ChatCall] = []

    async def chat(asked: ChatCall) -> bytes:
        seen.append(asked)
        return await model.engine.chat(asked)

    model.chat = chat  # type: ignore[method-assign]
    answer = await lines_over(model).answer(call(CHAT))
    assert answer.status == 200
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "one two three"
    assert [(one.priority, one.request_id) for one in seen] == [(Priority.BACKGROUND, "batch_req_1")]


async def test_embeddings_are_answered_too(model: LocalModel) -> None:
    answer = await lines_over(model).answer(call({"model": "hash", "input": ["a", "b"]}, "/v1/embeddings"))
    assert [len(row["embedding"]) for row in json.loads(answer.body)["data"]] == [16, 16]


async def test_responses_and_raw_completions_are_answered_too(model: LocalModel, tmp_path: Path) -> None:
    lines = lines_over(model, stores={"database": "sqlite://"}, home=str(tmp_path))
    answer = await lines.answer(call({"model": "echo", "input": "one two", "store": False}, "/v1/responses"))
    assert json.loads(answer.body)["output"][0]["content"][0]["text"] == "one two"
    answer = await lines.answer(call({"model": "echo", "prompt": "one two"}, "/v1/completions"))
    assert (answer.status, json.loads(answer.body)["object"]) == (200, "text_completion")


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"temperature": 7}, "invalid_request", "temperature"),
        ({"nope": 1}, "invalid_request", "nope"),
        ({"messages": []}, "invalid_request", "messages"),
        ({"stream": True}, "unsupported_parameter", "stream"),
        ({"background": True}, "unsupported_parameter", "background"),
    ],
)
async def test_a_wrong_body_gets_openais_error(
    model: LocalModel, change: dict[str, Any], code: str, param: str
) -> None:
    answer = await lines_over(model).answer(call(CHAT | change))
    assert error_of(answer) == (400, code, param)
    assert not answer.retryable


async def test_stream_may_be_false(model: LocalModel) -> None:
    assert (await lines_over(model).answer(call(CHAT | {"stream": False}))).status == 200


async def test_a_model_that_is_gone_is_not_found(model: LocalModel) -> None:
    assert error_of(await lines_over(model).answer(call(CHAT | {"model": "x"})))[:2] == (404, "model_not_found")


async def test_no_other_path_is_reached(model: LocalModel) -> None:
    for path in ("/v1/models", "/v1/files", "/v1/batches", "/api/experiments/batch", "/v1/rerank"):
        assert error_of(await lines_over(model).answer(call(CHAT, path)))[0] == 400


@pytest.mark.parametrize(
    ("raised", "status", "retryable", "after"),
    [
        (Overloaded("full", retry_after_s=1.5), 429, True, 2.0),
        (Conflict("no"), 409, False, None),
        (ValueError("odd"), 500, False, None),
    ],
)
async def test_an_answer_says_whether_a_retry_helps(
    raised: Exception, status: int, *, retryable: bool, after: float | None
) -> None:
    routes = APIRouter()

    @routes.post("/v1/completions")
    async def fail() -> None:
        raise raised

    answer = await Lines([routes]).answer(call({}, "/v1/completions"))
    assert (answer.status, answer.retryable, answer.retry_after_s) == (status, retryable, after)


async def test_a_cancelled_line_stops_its_generation() -> None:
    model = await started(tokens=1000, token_delay_s=0.01)
    asked = asyncio.create_task(lines_over(model).answer(call(CHAT)))
    await until(lambda: model.engine.running == 1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await until(lambda: model.engine.running == 0)


async def test_a_line_has_the_deadline_of_every_generation() -> None:
    model = await started(tokens=1000, token_delay_s=0.01)
    answer = await lines_over(model, limits={"generation_timeout_ms": 50}).answer(call(CHAT))
    assert error_of(answer)[:2] == (504, "generation_timeout")
