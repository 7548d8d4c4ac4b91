"""`/tokenize` and `/detokenize`, in vLLM's shapes."""

from typing import Any

import httpx
import pytest

from cluster.types import TokenizeCall, Tokenized
from deployments.gateway.openai import tokens
from tests.unit.gateway.conftest import LocalModel, app_over, client_of, started

MESSAGES = [{"role": "user", "content": "one two"}, {"role": "assistant", "content": "three"}]


async def post(client: httpx.AsyncClient, path: str, **fields: Any) -> httpx.Response:
    return await client.post(path, json={"model": "echo", **fields})


async def test_a_text_is_counted_and_its_tokens_told(client: httpx.AsyncClient) -> None:
    found = (await post(client, "/tokenize", prompt="one two one", return_token_strs=True)).json()
    assert (found["count"], found["max_model_len"]) == (3, 64)
    assert found["tokens"][0] == found["tokens"][2] != found["tokens"][1]
    assert found["token_strs"] == ["one", "two", "one"]


async def test_messages_are_counted(client: httpx.AsyncClient) -> None:
    found = (await post(client, "/tokenize", messages=MESSAGES, add_generation_prompt=True)).json()
    assert found["count"] == 3
    assert found["token_strs"] is None


async def test_the_embedder_counts_texts(client: httpx.AsyncClient) -> None:
    found = (await post(client, "/tokenize", model="hash", prompt="One, two")).json()
    assert (found["count"], found["max_model_len"]) == (3, 8192)
    response = await post(client, "/tokenize", model="hash", messages=MESSAGES)
    assert response.json()["error"]["param"] == "messages"


@pytest.mark.parametrize("asked", ["echo", "hash"])
async def test_who_has_no_vocabulary_detokenises_nothing(client: httpx.AsyncClient, asked: str) -> None:
    response = await post(client, "/detokenize", model=asked, tokens=[1])
    assert response.status_code == 400
    assert response.json()["error"] == {
        **response.json()["error"],
        "code": "unsupported_parameter",
        "param": "tokens",
    }


async def test_tokens_are_text_again() -> None:
    class Spelling(LocalModel):
        async def detokenize(self, tokens: Any) -> str:
            return "".join(map(chr, tokens))

    model = Spelling((await started()).engine)
    async with client_of(app_over(model)) as client:
        response = await post(client, "/detokenize", tokens=[104, 105, 0xD800])
    assert response.json() == {"prompt": "hi?"}  # half a character has no bytes


@pytest.mark.parametrize(
    ("path", "wrong", "param"),
    [
        ("/tokenize", {}, None),
        ("/tokenize", {"prompt": "a", "messages": MESSAGES}, None),
        ("/tokenize", {"prompt": ["a"]}, "prompt"),
        ("/tokenize", {"prompt": "a", "tools": []}, "tools"),
        ("/tokenize", {"messages": [{"role": "pilot", "content": "a"}]}, "messages[0]"),
        ("/tokenize", {"prompt": "a", "chat_template": "{{ x }}"}, "chat_template"),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
        ("/detokenize", {"tokens": "a"}, "tokens"),
    ],
)
async def test_what_is_no_request_is_refused_in_openai_s_shape(
    client: httpx.AsyncClient, path: str, wrong: dict[str, Any], param: str | None
) -> None:
    response = await post(client, path, **wrong)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize"])
async def test_an_unknown_model_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    response = await post(
        client, path, model="nobody", **({"prompt": "a"} if path == "/tokenize" else {"tokens": []})
    )
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("said", [{"prompt": "x" * 1001}, {"messages": [{"role": "user", "content": "x" * 1001}]}])
async def test_a_text_beyond_any_context_is_never_tokenised(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(LocalModel):
        async def tokenize(self, call: TokenizeCall) -> Tokenized:
            raise AssertionError("asked")

    monkeypatch.setattr(tokens, "MAX_CHARACTERS", 1000)
    monkeypatch.setattr(tokens, "CHARACTERS_PER_TOKEN", 1)
    async with client_of(app_over(Busy((await started()).engine))) as client:
        response = await post(client, "/tokenize", **said)
    assert response.status_code == 400
    assert response.json()["error"]["param"] in said
