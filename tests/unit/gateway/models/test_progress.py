"""What clients see while their model loads: comments that no client of ours notices."""

import asyncio
import json
from typing import Any

import openai
import pytest

from cluster.errors import LoadFailed, ModelTooLarge
from tests.unit.gateway.models.slow_fleet import ASKED, Gateway, gateway
from tests.unit.waiting import until

COMMENT = ": loading big: 12 s, waiting for room: all are in use"


async def after(seconds: float, this: Gateway, error: Exception | None = None) -> None:
    """Have the load end then."""
    await until(lambda: this.fleet.waiting)
    await asyncio.sleep(seconds)
    this.fleet.failing = error  # type: ignore[assignment]
    this.fleet.there.set()


async def asked(this: Gateway, path: str, *, error: Exception | None = None, **fields: Any) -> Any:
    answer, _ = await asyncio.gather(this.post(path, **fields), after(0.04, this, error))
    return answer


@pytest.mark.parametrize(
    ("path", "fields", "begins"),
    [
        ("/v1/chat/completions", {}, "data: "),
        ("/v1/completions", {"prompt": "one two", "messages": None}, "data: "),
        ("/v1/responses", {"input": "one two", "messages": None}, "event: response.created"),
        ("/v1/messages", {"max_tokens": 9}, "event: message_start"),
    ],
)
async def test_a_stream_begins_with_comments_then_the_answer(
    path: str, fields: dict[str, Any], begins: str
) -> None:
    fields = {name: value for name, value in {**ASKED, **fields, "stream": True}.items() if value is not None}
    async with gateway() as this:
        async with this.client() as client:
            answer, _ = await asyncio.gather(client.post(path, json={"model": "big", **fields}), after(0.04, this))
        assert answer.headers["content-type"].startswith("text/event-stream")
        blocks = answer.text.strip().split("\n\n")
        comments = [block for block in blocks if block.startswith(":")]
        assert set(comments) == {COMMENT}
        assert len(comments) > 1
        assert blocks[: len(comments)] == comments
        assert blocks[len(comments)].startswith(begins)


async def test_the_openai_client_sees_nothing_of_it() -> None:
    async with gateway() as this:
        client = openai.AsyncOpenAI(base_url="http://gateway/v1", api_key="none", http_client=this.client())

        async def told() -> str:
            stream = await client.chat.completions.create(model="big", stream=True, **ASKED)  # type: ignore[call-overload]
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

        text, _ = await asyncio.gather(told(), after(0.05, this))
        assert "three" in text
        await client.close()


async def test_a_failure_after_comments_is_an_error_event_that_the_openai_client_raises() -> None:
    async with gateway() as this:
        answer = await asked(this, "/v1/chat/completions", stream=True, error=LoadFailed("big is broken"))
        assert answer.status_code == 200
        last = answer.text.strip().split("\n\n")[-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "model_load_failed"
        assert "[DONE]" not in answer.text
    async with gateway() as this:
        client = openai.AsyncOpenAI(base_url="http://gateway/v1", api_key="none", http_client=this.client())

        async def told() -> None:
            async for _ in await client.chat.completions.create(model="big", stream=True, **ASKED):  # type: ignore[call-overload]
                pass

        failing = asyncio.create_task(after(0.05, this, LoadFailed("big is broken")))
        with pytest.raises(openai.APIError, match="big is broken"):
            await told()
        await failing
        await client.close()


async def test_a_failure_after_comments_has_the_shape_of_its_api() -> None:
    async with gateway() as this:
        answer = await asked(this, "/v1/messages", stream=True, max_tokens=9, error=LoadFailed("big is broken"))
        last = answer.text.strip().split("\n\n")[-1]
        assert last.startswith("event: error\ndata: ")
        assert json.loads(last.split("data: ")[1])["type"] == "error"
        assert answer.headers["request-id"]


@pytest.mark.parametrize(("error", "status"), [(LoadFailed("broken"), 503), (ModelTooLarge("too large"), 507)])
async def test_what_is_known_at_once_keeps_its_status(error: Exception, status: int) -> None:
    async with gateway(after_s=5.0) as this:
        this.fleet.failing = error  # type: ignore[assignment]
        this.fleet.there.set()
        answer = await this.post(stream=True)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")


async def test_a_whole_answer_waits_without_a_word() -> None:
    async with gateway() as this:
        answer = await asked(this, "/v1/chat/completions")
        assert (answer.status_code, answer.json()["model"]) == (200, "big")
    async with gateway() as this:
        refused = await asked(this, "/v1/chat/completions", error=LoadFailed("big is broken"))
        assert refused.status_code == 503


async def test_ollama_s_lines_have_no_comments() -> None:
    async with gateway() as this:
        answer = await asked(this, "/api/chat", stream=True)
        lines = [json.loads(line) for line in answer.text.strip().split("\n")]
        assert lines[-1]["done"]


async def test_no_comments_where_the_settings_want_none() -> None:
    async with gateway(every_s=0.0) as this:
        answer = await asked(this, "/v1/chat/completions", stream=True)
        assert answer.text.startswith("data: ")


async def test_a_client_s_deadline_is_504_or_the_stream_s_last_event() -> None:
    async with gateway(after_s=5.0) as this:
        answer = await this.post(stream=True, headers={"x-heliostat-timeout-ms": "40"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    async with gateway() as this:
        streamed = await this.post(stream=True, headers={"x-heliostat-timeout-ms": "80"})
        assert streamed.status_code == 200
        assert streamed.text.startswith(COMMENT)
        assert '"code": "deadline_exceeded"' in streamed.text
        assert this.fleet.given_up == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_waits_no_longer(stream: bool) -> None:
    async with gateway() as this:
        body = json.dumps({"model": "big", "stream": stream, **ASKED}).encode()
        gone, sent = asyncio.Event(), []
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions",
            "headers": [(b"content-type", b"application/json")], "query_string": b"", "http_version": "1.1",
            "scheme": "http", "server": ("gateway", 80), "client": ("test", 1), "root_path": "", "asgi": {},
        }  # fmt: skip
        request = asyncio.create_task(this.app(scope, receive, send))  # type: ignore[arg-type]
        await until(lambda: this.fleet.waiting and (len(sent) > 2 or not stream))
        gone.set()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert (this.fleet.waiting, this.fleet.given_up) == (0, 1)
        assert bool(sent) is stream
