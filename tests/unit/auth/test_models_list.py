"""A key's list of models: what is not on it does not exist."""

from typing import Any

import pytest

from tests.unit.auth.conftest import House


def only(house: House, *models: str) -> dict[str, str]:
    return house.key(models=frozenset(models))


CHAT = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("allowed", "path", "body"),
    [
        ("hash", "/v1/chat/completions", {"model": "echo", **CHAT}),
        ("echo", "/v1/embeddings", {"model": "hash", "input": "x"}),
        ("hash", "/v1/embeddings", {"model": "echo", "input": "x"}),
    ],
)
async def test_a_model_that_is_not_on_the_list_is_not_found(
    house: House, allowed: str, path: str, body: dict[str, Any]
) -> None:
    answer = await house.client.post(path, headers=only(house, allowed), json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")


async def test_the_error_names_no_model_that_may_not_be_asked(house: House) -> None:
    body = {"model": "nosuch", **CHAT}
    answer = await house.client.post("/v1/chat/completions", headers=only(house, "hash"), json=body)
    assert "echo" not in answer.text
    vectors = {"model": "nosuch", "input": "x"}
    answer = await house.client.post("/v1/embeddings", headers=only(house, "echo"), json=vectors)
    assert "hash" not in answer.text


async def test_models_on_the_list_answer(house: House) -> None:
    key = only(house, "echo", "hash")
    chat = await house.client.post("/v1/chat/completions", headers=key, json={"model": "echo", **CHAT})
    vectors = await house.client.post("/v1/embeddings", headers=key, json={"model": "hash", "input": "x"})
    assert (chat.status_code, vectors.status_code) == (200, 200)


async def test_models_that_may_be_asked_are_listed(house: House) -> None:
    async def listed(key: dict[str, str]) -> set[str]:
        return {model["id"] for model in (await house.client.get("/v1/models", headers=key)).json()["data"]}

    assert await listed(house.key()) == {"echo", "hash", "auto"}
    assert await listed(only(house, "echo")) == {"echo", "auto"}
    assert await listed(only(house, "hash")) == {"hash"}  # of which `auto` is none
    assert await listed(only(house)) == set()
    one = await house.client.get("/v1/models/hash", headers=only(house, "echo"))
    assert (one.status_code, one.json()["error"]["code"]) == (404, "model_not_found")


async def test_auto_is_one_of_the_list(house: House) -> None:
    body = {"model": "auto", **CHAT}
    answer = await house.client.post("/v1/chat/completions", headers=only(house, "echo"), json=body)
    assert (answer.status_code, answer.json()["model"]) == (200, "echo")
    nobody = await house.client.post("/v1/chat/completions", headers=only(house, "hash"), json=body)
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (404, "model_not_found")
    assert "echo" not in nobody.text
    vectors = {"model": "auto", "input": "x"}
    assert (await house.client.post("/v1/embeddings", headers=only(house, "hash"), json=vectors)).status_code == 200
    refused = await house.client.post("/v1/embeddings", headers=only(house, "echo"), json=vectors)
    assert (refused.status_code, "hash" in refused.text) == (404, False)
