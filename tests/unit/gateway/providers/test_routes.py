"""`/api/llm`: the provider that answers where no model is named."""

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import DatabaseAway
from cluster.stores.provider_choices import ProviderChoices
from tests.unit.engines.remote.fake_openai import REMOTE
from tests.unit.gateway.providers.conftest import FULL, House, house

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/api/llm/provider/switch"
CHAT: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "one two three"}]}


async def switch(home: House, **body: Any) -> dict[str, Any]:
    answer = await home.client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def answers(home: House) -> str:
    return str((await home.client.post("/v1/chat/completions", json=CHAT)).json()["model"])


async def test_it_shows_the_choice_and_how_each_provider_is(home: House) -> None:
    shown = (await home.client.get("/api/llm/provider")).json()
    assert (shown["provider"], shown["model"], shown["chosen_at"]) == ("auto", None, None)
    local, far = shown["providers"]
    assert (local["id"], local["status"], local["models"]) == ("local", "running", 2)
    assert (far["id"], far["kind"], far["status"], far["models"]) == ("far", "openai", "running", 3)
    assert far["listed_at"].endswith("Z")


async def test_all_models_are_listed_with_their_providers(home: House) -> None:
    found = (await home.client.get("/api/llm/models")).json()
    rows = {one["id"]: (one["provider"], one["task"], one["state"]) for one in found["models"]}
    assert rows["echo"] == ("local", "chat", "ready")
    assert rows[FULL] == ("far", "chat", "ready")
    assert rows["far/text-embed"] == ("far", "embedding", "ready")


async def test_after_a_switch_auto_is_of_that_provider(home: House) -> None:
    assert await answers(home) == "echo"
    shown = await switch(home, provider="far")
    assert (shown["provider"], shown["model"]) == ("far", None)
    assert await answers(home) == FULL  # the first that it lists
    shown = await switch(home, provider="local", model="echo")
    assert (shown["provider"], shown["model"]) == ("local", "echo")
    assert await answers(home) == "echo"


@pytest.mark.parametrize("name", [REMOTE, FULL])
async def test_a_model_may_be_named_as_the_provider_names_it(home: House, name: str) -> None:
    assert (await switch(home, provider="far", model=name))["model"] == FULL
    assert await answers(home) == FULL


@pytest.mark.parametrize("back", ["auto", None])
async def test_a_choice_is_taken_back(home: House, back: str | None) -> None:
    await switch(home, provider="far")
    assert (await switch(home, provider=back))["provider"] == "auto"
    assert await answers(home) == "echo"


async def test_a_conversation_that_names_no_model_follows(home: House) -> None:
    talk = (await home.client.post("/api/v1/conversations", json={})).json()["id"]
    path, body = f"/api/v1/conversations/{talk}/messages", {"content": "hello", "stream": False}
    assert (await home.client.post(path, json=body)).json()["message"]["model"] == "echo"
    await switch(home, provider="far", model=REMOTE)
    assert (await home.client.post(path, json=body)).json()["message"]["model"] == FULL


async def test_a_request_that_names_its_model_does_not_follow(home: House) -> None:
    await switch(home, provider="far")
    named = await home.client.post("/v1/chat/completions", json={**CHAT, "model": "echo"})
    assert named.json()["model"] == "echo"


async def test_another_gateway_and_one_after_a_restart_have_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'db'}"
    async with house(database=url) as one, house(database=url) as other:
        await one.known()
        await other.known()
        assert await answers(other) == "echo"
        await switch(one, provider="far")
        async with house(database=url) as later:
            await later.known()
            assert await answers(later) == FULL
            assert (await later.client.get("/api/llm/provider")).json()["provider"] == "far"


WRONG: list[tuple[dict[str, Any], int, str, str]] = [
    ({"provider": "nope"}, 404, "provider_not_found", "provider"),
    ({"provider": "far", "model": "nope"}, 404, "model_not_found", "model"),
    ({"provider": "far", "model": "echo"}, 404, "model_not_found", "model"),
    ({"provider": "far", "model": "text-embed"}, 404, "model_not_found", "model"),
    ({"provider": "local", "model": FULL}, 404, "model_not_found", "model"),
    ({"provider": "local", "model": "nope"}, 404, "model_not_found", "model"),
    ({"provider": "auto", "model": "echo"}, 400, "invalid_request", "provider"),
    ({}, 400, "invalid_request", "provider"),
    ({"provider": "far", "modle": "x"}, 400, "invalid_request", "modle"),
    ({"provider": 3}, 400, "invalid_request", "provider"),
]


async def test_what_is_wrong_is_named_and_changes_nothing(home: House) -> None:
    for body, status, code, param in WRONG:
        answer = await home.client.post(PATH, json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (status, code, param), answer.text
    assert (await home.client.get("/api/llm/provider")).json()["provider"] == "auto"


async def test_a_switch_is_an_event_that_says_who_and_from_what() -> None:
    async with house() as home:
        await switch(home, provider="local")
        [event] = [one for one in home.router.events.recent if one.kind == "provider"]
        assert (event.reason, event.inputs["provider"], event.inputs["before"]) == ("switched", "local", "auto")
        assert event.inputs["by"] == "local"


async def test_where_auto_is_off_nothing_would_follow_so_it_is_refused() -> None:
    async with house(routing={"auto": {"enabled": False}}) as home:
        answer = await home.client.post(PATH, json={"provider": "far"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


async def test_without_the_database_the_last_known_choice_holds(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await switch(home, provider="far")

    def away(_: Any) -> None:
        raise DatabaseAway("away")

    monkeypatch.setattr(ProviderChoices, "get", away)
    monkeypatch.setattr("deployments.gateway.providers.chosen.BELIEVED_S", 0.0)
    assert await answers(home) == FULL


async def test_a_provider_without_a_model_that_can_do_it_is_named_in_the_error(home: House) -> None:
    await switch(home, provider="far")
    answer = await home.client.post("/v1/chat/completions", json={**CHAT, "top_k": 3})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "no_capable_model", "top_k")
    assert "of the provider far" in error["message"]
