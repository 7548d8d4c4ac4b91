"""`/v1/completions` over the scripted engine: raw prompts, checked as chats are."""

import json
from typing import Any

import httpx
import pytest

from cluster.types import Priority
from deployments.clients import Backends
from deployments.gateway.limits.usage import Estimate, of_completion
from deployments.gateway.openai.lines import BackgroundChats
from deployments.gateway.principal import LOCAL
from deployments.gateway.wire import CompletionRequest
from tests.unit.gateway.conftest import LocalModel, app_over, client_of, settings_with, started

PROMPT = "one two three"


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/v1/completions", json={"model": "echo", "prompt": PROMPT, **fields})


def problem(response: httpx.Response) -> tuple[str, str | None]:
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    return error["code"], error["param"]


async def test_a_prompt_is_gone_on_with(client: httpx.AsyncClient) -> None:
    found = (await ask(client)).json()
    assert found["object"] == "text_completion"
    assert found["id"].startswith("cmpl-")
    assert found["choices"] == [
        {"index": 0, "text": " one two three", "logprobs": None, "finish_reason": "stop", "stop_reason": None}
    ]
    assert found["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


async def test_a_list_of_prompts_has_choices_in_their_order(client: httpx.AsyncClient) -> None:
    found = (await ask(client, prompt=["a", "b c"], n=2, best_of=2, echo=True)).json()
    assert [choice["text"] for choice in found["choices"]] == ["a a", "a a", "b c b c", "b c b c"]
    assert found["usage"]["prompt_tokens"] == 3


async def test_a_stream_is_events_with_usage_at_the_end(client: httpx.AsyncClient) -> None:
    response = await ask(client, stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    chunks = [json.loads(event) for event in events]
    assert done == "[DONE]"
    assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == " one two three"
    assert chunks[-1]["usage"]["completion_tokens"] == 3


async def test_what_clients_send_to_say_nothing_is_taken(client: httpx.AsyncClient) -> None:
    nothing = dict.fromkeys(("suffix", "best_of", "logprobs", "logit_bias", "stop", "seed", "echo"))
    assert (await ask(client, **nothing, user="ada")).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [
        ({"suffix": "x"}, "unsupported_parameter", "suffix"),
        ({"logprobs": 2}, "unsupported_parameter", "logprobs"),
        ({"logprobs": 6}, "invalid_request", "logprobs"),
        ({"logprobs": True}, "invalid_request", "logprobs"),
        ({"best_of": 2}, "invalid_request", "best_of"),
        ({"prompt": ""}, "invalid_request", "prompt"),
        ({"prompt": []}, "invalid_request", "prompt"),
        ({"prompt": [1, 2]}, "unsupported_parameter", "prompt"),
        ({"prompt": [1, -2]}, "invalid_request", "prompt[1]"),
        ({"prompt": {"text": "a"}}, "invalid_request", "prompt"),
        ({"prompt": ["a"] * 129}, "invalid_request", "prompt"),
        ({"max_tokens": -1}, "invalid_request", "max_tokens"),
        ({"max_tokens": 0}, "invalid_request", "max_tokens"),
        ({"messages": []}, "invalid_request", "messages"),
        ({"temperature": 3}, "invalid_request", "temperature"),
        ({"max_completion_tokens": 3}, "invalid_request", "max_completion_tokens"),
        ({"max_tokens": 100}, "context_length_exceeded", "prompt"),
        ({"prompt": "x " * 70}, "context_length_exceeded", "prompt"),
    ],
)
async def test_a_bad_completion_is_refused_by_name(
    client: httpx.AsyncClient, wrong: dict[str, Any], code: str, param: str
) -> None:
    for stream in (False, True):
        assert problem(await ask(client, stream=stream, **wrong)) == (code, param)


async def test_a_prompt_is_needed(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/completions", json={"model": "echo"})
    assert problem(response) == ("invalid_request", "prompt")


@pytest.mark.parametrize(("asked", "status"), [("nobody", 404), ("hash", 400)])
async def test_a_model_that_does_not_complete_is_refused(
    client: httpx.AsyncClient, asked: str, status: int
) -> None:
    response = await ask(client, model=asked)
    assert response.status_code == status
    assert response.json()["error"]["param"] == "model"


async def test_an_engine_that_fails_midway_ends_the_stream_with_an_error() -> None:
    async with client_of(app_over(await started(fail_after_tokens=2))) as client:
        response = await ask(client, stream=True)
    last = response.text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_error"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", False),
        ("service_tier", "auto"),
        ("service_tier", "default"),
        ("modalities", ["text"]),
        ("prompt_cache_key", "k"),
        ("safety_identifier", "s"),
        ("reasoning_effort", None),
        ("functions", None),
    ],
)
async def test_a_chat_may_say_what_is_done_anyway(ask_chat: Any, name: str, value: Any) -> None:
    assert (await ask_chat(**{name: value})).status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("store", True, "store"),
        ("service_tier", "flex", "service_tier"),
        ("modalities", ["text", "audio"], "modalities"),
        ("audio", {"voice": "alloy", "format": "mp3"}, "audio"),
        ("functions", [{"name": "f"}], "Send tools"),
        ("function_call", "auto", "Send tool_choice"),
        ("reasoning_effort", "low", "reasoning_effort"),
        ("verbosity", "low", "verbosity"),
        ("prediction", {"type": "content", "content": "x"}, "prediction"),
        ("web_search_options", {}, "web_search_options"),
        ("structured_outputs", {"choice": ["a"]}, "structured_outputs"),
        ("chat_template_kwargs", {"x": 1}, "chat_template_kwargs"),
        ("bad_words", ["a"], "bad_words"),
        ("use_beam_search", True, "use_beam_search"),
    ],
)
async def test_what_no_model_does_is_refused_by_name(ask_chat: Any, name: str, value: Any, words: str) -> None:
    response = await ask_chat(**{name: value})
    assert problem(response)[1] in (name, f"{name}[1]")
    assert words in response.json()["error"]["message"]


@pytest.fixture
def ask_chat(client: httpx.AsyncClient) -> Any:
    async def post(**fields: Any) -> httpx.Response:
        body = {"model": "echo", "messages": [{"role": "user", "content": PROMPT}], **fields}
        return await client.post("/v1/chat/completions", json=body)

    return post


async def test_a_limit_of_tokens_counts_all_prompts_and_their_choices() -> None:
    wanted = CompletionRequest(model="echo", prompt=["a" * 40, "b" * 12], n=2, max_tokens=5)
    assert of_completion(wanted) == Estimate(prompt=13, answer=5, choices=4)
    assert of_completion(CompletionRequest(model="echo", prompt="a")).answer == 16


async def test_a_batch_s_completions_wait_for_those_of_people(model: LocalModel) -> None:
    chats = BackgroundChats(Backends(models={"echo": model}), settings_with())
    body = json.dumps({"model": "echo", "prompt": PROMPT}).encode()
    checked = await chats.check_completion(body, request_id="r", principal=LOCAL)
    assert checked.call.priority is Priority.BACKGROUND
    assert json.loads(await chats.whole(checked))["choices"][0]["text"] == f" {PROMPT}"
