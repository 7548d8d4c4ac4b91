"""Conversations: kept by owner, changed, forgotten; what is said in them, and what the model is shown of it."""

import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from PIL import Image

from cluster.types import ChatCall
from tests.unit.gateway.conftest import LocalModel, started
from tests.unit.gateway.conversations.asking import API, Gateway, quick_settings

UNKNOWN = "conv_" + 24 * "0"


class Recorded(LocalModel):
    """Remembers what it is asked."""

    asked: list[dict[str, Any]]

    def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        self.asked.append(json.loads(call.body))
        return super().stream(call)


def red_png() -> str:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), "#ff0000").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


async def recorded(**script: Any) -> Recorded:
    model = Recorded((await started(**script)).engine)
    model.asked = []
    return model


@pytest.fixture
async def model() -> Recorded:
    return await recorded()


@pytest.fixture
def gateway(model: Recorded) -> Gateway:
    return Gateway(model, quick_settings())


def problem(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error.get("param")


async def test_a_conversation_is_made_found_changed_and_forgotten(gateway: Gateway) -> None:
    fields = {"title": "t", "model": "echo", "systemPrompt": "be brief", "metadata": {"a": "b"}}
    made = (await gateway.client.post(f"{API}/conversations", json=fields)).json()
    assert {name: made[name] for name in fields} == fields
    path = f"{API}/conversations/{made['id']}"
    assert (await gateway.client.get(path)).json() == made
    changed = (await gateway.client.patch(path, json={"title": None, "metadata": {"c": "d"}})).json()
    assert (changed["title"], changed["metadata"], changed["systemPrompt"]) == (None, {"c": "d"}, "be brief")
    assert changed["updatedAt"] >= made["updatedAt"]
    assert (await gateway.client.delete(path)).json() == {"id": made["id"], "deleted": True}
    assert problem(await gateway.client.get(path)) == (404, "conversation_not_found", None)


async def test_conversations_are_paged_what_changed_last_first(gateway: Gateway) -> None:
    first, second, third = [await gateway.conversation(title=title) for title in "abc"]
    await gateway.client.patch(f"{API}/conversations/{first}", json={"title": "z"})
    page = (await gateway.client.get(f"{API}/conversations?limit=2")).json()
    assert [one["id"] for one in page["conversations"]] == [first, third]
    rest = (await gateway.client.get(f"{API}/conversations?limit=2&offset=2")).json()
    assert ([one["id"] for one in rest["conversations"]], rest["total"]) == ([second], 3)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"titel": "x"}, (400, "invalid_request", "titel")),
        ({"title": 1}, (400, "invalid_request", "title")),
        ({"title": "a\0b"}, (400, "invalid_request", "title")),
        ({"metadata": {"a": 1}}, (400, "invalid_request", "metadata.a")),
        ({"model": "nope"}, (404, "model_not_found", "model")),
    ],
)
async def test_a_wrong_field_is_named(gateway: Gateway, fields: Any, expected: Any) -> None:
    assert problem(await gateway.client.post(f"{API}/conversations", json=fields)) == expected


async def test_another_owners_conversation_does_not_exist(gateway: Gateway) -> None:
    conversation = await gateway.conversation()
    said = (await gateway.say(conversation, "mine")).json()
    session = said["session"]["id"]
    other = {"x-owner": "eve"}
    path, streams = f"{API}/conversations/{conversation}", f"{API}/stream-sessions"
    for method, where, body in (
        ("GET", path, None),
        ("PATCH", path, {"title": "x"}),
        ("DELETE", path, None),
        ("GET", f"{path}/messages", None),
        ("POST", f"{path}/messages", {"content": "x"}),
        ("GET", f"{streams}/{session}", None),
        ("POST", f"{streams}/{session}/stop", None),
        ("GET", f"{streams}/{session}/events", None),
    ):
        answer = await gateway.client.request(method, where, json=body, headers=other)
        assert answer.status_code == 404, (method, where)
    assert (await gateway.client.get(f"{API}/conversations", headers=other)).json()["total"] == 0
    assert (await gateway.client.get(streams, headers=other)).json()["total"] == 0
    assert len(await gateway.said(conversation)) == 2


@pytest.mark.parametrize("identity", [UNKNOWN, "nope", "%00", "conv_%F0%9F%98%80"])
async def test_an_unknown_id_is_not_found(gateway: Gateway, identity: str) -> None:
    for path in (f"conversations/{identity}", f"conversations/{identity}/messages", f"stream-sessions/{identity}"):
        assert (await gateway.client.get(f"{API}/{path}")).status_code == 404


async def test_an_answer_is_stored_beside_its_question(gateway: Gateway) -> None:
    conversation = await gateway.conversation()
    answer = (await gateway.say(conversation, "one two three")).json()
    assert answer["message"]["content"] == "one two three"
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    assert answer["finish_reason"] == "stop"
    session = answer["session"]
    assert (session["status"], session["provider"], session["tokenCount"]) == ("completed", "scripted", 3)
    question, stored = await gateway.said(conversation)
    assert (question["role"], question["content"], question["status"]) == ("user", "one two three", "completed")
    assert stored == answer["message"]
    assert (stored["model"], stored["promptTokens"], stored["completionTokens"]) == ("echo", 3, 3)
    assert (await gateway.client.get(f"{API}/conversations/{conversation}")).json()["title"] == "one two three"


async def test_the_model_is_shown_the_history_under_the_system_prompt(gateway: Gateway, model: Recorded) -> None:
    conversation = await gateway.conversation(systemPrompt="be kind", title="kept")
    await gateway.say(conversation, "one")
    await gateway.say(conversation, [{"type": "text", "text": "two"}], temperature=0.5, max_tokens=7)
    assert model.asked[1]["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": [{"type": "text", "text": "two"}]},
    ]
    assert (model.asked[1]["temperature"], model.asked[1]["max_tokens"]) == (0.5, 7)
    assert (await gateway.client.get(f"{API}/conversations/{conversation}")).json()["title"] == "kept"


async def test_the_oldest_turns_are_dropped_when_the_context_is_full(gateway: Gateway, model: Recorded) -> None:
    """64 words of context: each turn has 20 words, and the answer's share is kept free."""
    conversation = await gateway.conversation(systemPrompt="stay")
    words = " ".join(f"w{n}" for n in range(10))
    dropped = [(await gateway.say(conversation, words)).json()["message"]["droppedMessages"] for _ in range(5)]
    assert dropped == [0, 0, 2, 4, 6]
    assert model.asked[-1]["messages"][0] == {"role": "system", "content": "stay"}
    assert len(model.asked) == 5, "what fits was known from the answers before"
    assert len(await gateway.said(conversation)) == 10


async def test_a_prompt_that_the_engine_finds_too_long_is_asked_again_shorter(
    gateway: Gateway, model: Recorded
) -> None:
    conversation = await gateway.conversation()
    for _ in range(3):
        await gateway.say(conversation, "a b c d e")
    answer = (await gateway.say(conversation, "x " * 50)).json()
    assert answer["message"]["status"] == "completed"
    assert answer["message"]["droppedMessages"] > 0
    assert answer["message"]["content"].split() == ["x"] * (64 - 50 - len(model.asked[-1]["messages"][:-1]) * 5)


async def test_a_question_alone_too_long_is_an_error_and_stays_visible(gateway: Gateway) -> None:
    conversation = await gateway.conversation()
    answer = await gateway.say(conversation, "x " * 70)
    assert problem(answer)[:2] == (400, "context_length_exceeded")
    question, stored = await gateway.said(conversation)
    assert (stored["status"], stored["terminationReason"]) == ("error", "context_length_exceeded")
    assert question["status"] == "completed"


async def test_a_question_without_an_answer_is_not_shown_to_the_model() -> None:
    model = await recorded(fail_every=2)
    gateway = Gateway(model, quick_settings())
    conversation = await gateway.conversation()
    assert (await gateway.say(conversation, "one")).status_code == 200
    assert problem(await gateway.say(conversation, "two"))[:2] == (500, "engine_error")
    assert (await gateway.say(conversation, "three")).status_code == 200
    assert [message["content"] for message in model.asked[-1]["messages"]] == ["one", "one", "three"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content": ""}, (400, "invalid_request", "content")),
        ({"content": []}, (400, "invalid_request", "content")),
        ({"content": [{"type": "text"}]}, (400, "invalid_request", "content[0].text")),
        ({"content": "x", "n": 2}, (400, "invalid_request", "n")),
        ({"content": "x", "tools": []}, (400, "invalid_request", "tools")),
        ({"content": "x", "temperature": 3}, (400, "invalid_request", "temperature")),
        ({"content": "x", "model": "nope"}, (404, "model_not_found", "model")),
        (
            {"content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]},
            (400, "unsupported_parameter", "content"),
        ),
        ({}, (400, "invalid_request", "content")),
    ],
)
async def test_a_message_that_cannot_be_asked_is_refused_and_not_stored(
    gateway: Gateway, fields: Any, expected: Any
) -> None:
    conversation = await gateway.conversation()
    answer = await gateway.client.post(f"{API}/conversations/{conversation}/messages", json=fields)
    assert problem(answer) == expected
    assert await gateway.said(conversation) == []


async def test_more_pictures_than_a_request_may_have_drop_the_oldest() -> None:
    model = await recorded(images=True)
    gateway = Gateway(model, quick_settings(limits={"max_images": 1}))
    conversation = await gateway.conversation()
    url = f"data:image/png;base64,{red_png()}"
    shown = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "look"}]
    first = (await gateway.say(conversation, shown)).json()
    assert "#ff0000" in first["message"]["content"]
    second = (await gateway.say(conversation, shown)).json()
    assert second["message"]["droppedMessages"] == 2
    assert (await gateway.said(conversation))[0]["content"] == shown


async def test_messages_are_paged_oldest_first(gateway: Gateway) -> None:
    conversation = await gateway.conversation()
    for word in ("one", "two"):
        await gateway.say(conversation, word)
    page = (await gateway.client.get(f"{API}/conversations/{conversation}/messages?limit=3&offset=1")).json()
    assert [one["content"] for one in page["messages"]] == ["one", "two", "two"]
    assert page["total"] == 4


async def test_forgetting_a_conversation_forgets_all_in_it(gateway: Gateway) -> None:
    conversation = await gateway.conversation()
    session = (await gateway.say(conversation, "one")).json()["session"]["id"]
    await gateway.client.delete(f"{API}/conversations/{conversation}")
    answer = await gateway.client.get(f"{API}/stream-sessions/{session}")
    assert problem(answer)[:2] == (404, "stream_session_not_found")


async def test_a_model_may_change_within_a_conversation() -> None:
    other = await recorded()
    gateway = Gateway(await recorded(), quick_settings(), other=other)
    conversation = await gateway.conversation(model="echo")
    await gateway.say(conversation, "one")
    assert (await gateway.say(conversation, "two", model="other")).json()["message"]["model"] == "other"
    assert len(other.asked[0]["messages"]) == 3
