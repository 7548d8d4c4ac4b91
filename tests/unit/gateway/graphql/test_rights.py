"""Who may ask what: the table of rights of the REST routes, over both transports."""

import uuid
from typing import Any

import pytest

from tests.unit.auth.conftest import CHEAP
from tests.unit.gateway.graphql.house import House, endless, idle, shared
from tests.unit.waiting import until

SEND = "mutation ($input: MessageInput!) { sendMessage(input: $input) { finishReason } }"
STREAM = "subscription ($input: MessageInput!) { streamMessage(input: $input) { kind text } }"


@pytest.fixture
async def home() -> House:
    return await shared(__name__, auth=CHEAP)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def test_without_a_key_nothing_is_answered(home: House) -> None:
    answer = await home.post("{ __typename }")
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("rights", "query", "code"),
    [
        ({"role": "viewer"}, "mutation { createConversation { id } }", "permission_denied"),
        ({"role": "viewer"}, 'mutation { loadModel(id: "echo") { id } }', "permission_denied"),
        ({"role": "viewer"}, 'mutation { startBatch(input: {experiment: "1"}) { id } }', "permission_denied"),
        ({"role": "viewer"}, "{ conversations { total } }", None),
        ({"scopes": frozenset({"chat"})}, "{ conversations { total } }", "permission_denied"),
        ({"scopes": frozenset({"chat"})}, "{ experiments { total } }", "permission_denied"),
        ({"scopes": frozenset({"chat"})}, '{ batchStatus(id: "1") { id } }', "permission_denied"),
        ({"scopes": frozenset({"chat"})}, '{ batchStatus(id: "batch_1") { id } }', "permission_denied"),
        ({"scopes": frozenset({"chat"})}, "{ availableModels { id } }", None),
        ({"scopes": frozenset({"conversations"})}, "mutation { createConversation { id } }", None),
        ({"models": frozenset({"hash"})}, '{ model(id: "echo") { id } }', "model_not_found"),
        (
            {"models": frozenset({"hash"})},
            'mutation { createConversation(input: {model: "echo"}) { id } }',
            "model_not_found",
        ),
    ],
)
async def test_a_key_may_do_what_it_may_on_the_rest_routes(
    home: House, rights: dict[str, Any], query: str, code: str | None
) -> None:
    answer = (await home.post(query, **bearer(home.key(**rights)))).json()
    found = answer["errors"][0]["extensions"]["code"] if "errors" in answer else None
    assert found == code, answer


async def test_a_key_sees_only_the_models_that_it_may_ask(home: House) -> None:
    key = bearer(home.key(models=frozenset({"hash"})))
    assert (await home.ask("{ availableModels { id } }", **key))["availableModels"] == [{"id": "hash"}]


async def test_limits_of_a_key_count_here_too(home: House) -> None:
    key = bearer(home.key(requests_per_minute=1))
    conversation = await home.conversation(**key)
    asked = {"input": {"conversationId": conversation, "content": "one"}}
    await home.ask(SEND, asked, **key)
    error = await home.refused(SEND, asked, **key)
    assert error["code"] == "rate_limit_exceeded"
    assert error["retryAfter"] > 0


async def test_a_socket_may_say_later_who_asks(home: House) -> None:
    talk = await home.talk().init({"Authorization": f"Bearer {home.key(owner=uuid.uuid4().hex)}"})
    await talk.subscribe("{ conversations { total } }")
    assert (await talk.data())["conversations"] == {"total": 0}
    await talk.hang_up()


async def test_a_socket_may_say_it_with_the_handshake(home: House) -> None:
    owner = uuid.uuid4().hex
    talk = await home.talk(**bearer(home.key(owner=owner))).init()
    await talk.subscribe("mutation { createConversation { id } }")
    assert (await talk.data())["createConversation"]["id"]
    await talk.hang_up()
    token = home.key(owner=owner)
    talk = await home.talk(protocols=("graphql-transport-ws", f"heliostat-token.{token}")).init()
    assert talk.protocol == "graphql-transport-ws"
    await talk.subscribe("{ conversations { total } }")
    assert (await talk.data())["conversations"] == {"total": 1}
    await talk.hang_up()


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"authorization": "Bearer nope"},
        {"authorization": 7},
        {"authorization": "Basic x"},
        {"token": "x"},
    ],
)
async def test_a_socket_that_never_says_it_is_closed(home: House, payload: Any) -> None:
    talk = home.talk()
    await talk.send(type="connection_init", **({} if payload is None else {"payload": payload}))
    assert await talk.end() == (4403, "invalid_api_key")


async def test_a_socket_gets_nothing_before_it_has_said_it(home: House) -> None:
    talk = home.talk()
    await talk.subscribe("{ conversations { total } }")
    assert (await talk.end())[0] == 4401


async def test_wrong_credentials_do_not_get_as_far_as_a_socket(home: House) -> None:
    assert (await home.talk(**bearer("sk-heliostat-nope")).end())[0] == 1008


async def test_a_viewer_may_follow_but_not_say(home: House) -> None:
    owner = home.key(owner="ann")
    conversation = await home.conversation(**bearer(owner))
    talk = await home.talk().init({"x-api-key": home.key(owner="ann", role="viewer")})
    await talk.subscribe(STREAM, {"input": {"conversationId": conversation, "content": "x"}})
    [error] = (await talk.next())["payload"]
    assert error["extensions"]["code"] == "permission_denied"
    await talk.hang_up()


@pytest.mark.parametrize("handshake", [True, False])
async def test_a_subscription_ends_with_its_key_and_so_does_the_answer(handshake: bool) -> None:
    home = await endless(auth=CHEAP)
    secret = home.key()
    conversation = await home.conversation(**bearer(secret))
    talk = home.talk(**bearer(secret)) if handshake else home.talk()
    await talk.init(None if handshake else {"authorization": f"Bearer {secret}"})
    await talk.subscribe(STREAM, {"input": {"conversationId": conversation, "content": "x"}})
    assert (await talk.data())["streamMessage"]["kind"] == "session"
    await until(lambda: home.model.engine.running == 1)
    home.revoke_all()
    assert (await talk.end())[0] in {4403, 1008}
    await idle(home)
