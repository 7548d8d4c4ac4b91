"""Stored responses: read again, listed, continued, deleted; and nobody else's."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from openai.types.responses import ResponseItemList

from cluster.stores.database import now
from cluster.stores.responses import StoredResponse
from tests.unit.gateway.responses.conftest import PATH, Told, checked
from tests.unit.gateway.responses.test_whole import ANSWER

OTHER = {"x-owner": "somebody else"}


async def made(ask: Any, **fields: Any) -> str:
    return checked(await ask(**fields)).id


def gone(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["error"]["code"]) == (404, "response_not_found")


async def test_a_response_is_read_as_it_was_answered(ask, client) -> None:
    answer = checked(await ask())
    assert checked(await client.get(f"{PATH}/{answer.id}")) == answer


async def test_one_that_should_not_be_stored_is_not(ask, client) -> None:
    assert gone(await client.get(f"{PATH}/{await made(ask, store=False)}"))


async def test_a_deleted_one_is_gone(ask, client) -> None:
    response_id = await made(ask)
    answer = await client.delete(f"{PATH}/{response_id}")
    assert answer.json() == {"id": response_id, "object": "response", "deleted": True}
    assert gone(await client.get(f"{PATH}/{response_id}"))
    assert gone(await client.delete(f"{PATH}/{response_id}"))


async def test_somebody_elses_response_is_not_there(ask, client) -> None:
    response_id = await made(ask)
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
        assert gone(await client.request(method, f"{PATH}/{response_id}{path}", headers=OTHER))
    body = {"model": "echo", "input": "hi", "previous_response_id": response_id}
    assert gone(await client.post(PATH, json=body, headers=OTHER))
    item = checked(await client.get(f"{PATH}/{response_id}")).output[0].id
    body = {"model": "echo", "input": [{"type": "item_reference", "id": item}]}
    assert gone(await client.post(PATH, json=body, headers=OTHER))
    assert (await client.post(PATH, json=body)).status_code == 200


async def test_a_conversation_goes_on_from_a_response(gateway) -> None:
    model = Told([], ANSWER)
    async with gateway(model) as client:

        async def say(text: str, **fields: Any) -> str:
            return checked(await client.post(PATH, json={"model": "echo", "input": text, **fields})).id

        first = await say("one", instructions="be brief")
        second = await say("two", previous_response_id=first)
        await say("three", previous_response_id=second, instructions="be long")
    said = [(message["role"], message["content"]) for message in model.calls[2]["messages"]]
    assert said == [
        ("system", "be long"),
        ("user", "one"),
        ("assistant", "fine"),
        ("user", "two"),
        ("assistant", "fine"),
        ("user", "three"),
    ]


async def test_a_functions_answer_goes_on_from_its_call(gateway) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    model = Told([], {**ANSWER, "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]})
    async with gateway(model) as client:
        first = checked(await client.post(PATH, json={"model": "echo", "input": "hi"}))
        answer = {"type": "function_call_output", "call_id": "c1", "output": "12"}
        body = {"model": "echo", "input": [answer], "previous_response_id": first.id}
        assert (await client.post(PATH, json=body)).status_code == 200
    assert model.calls[1]["messages"][1:] == [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "12"},
    ]


async def test_a_conversation_with_a_hole_is_not_continued(ask, client) -> None:
    first = await made(ask)
    second = await made(ask, previous_response_id=first)
    await client.delete(f"{PATH}/{first}")
    assert checked(await client.get(f"{PATH}/{second}")).previous_response_id == first
    answer = await ask(previous_response_id=second)
    assert gone(answer)
    assert first in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"] == "previous_response_id"


async def test_a_conversation_over_the_limit_of_messages_is_refused(gateway) -> None:
    async with gateway(Told([], ANSWER), limits={"max_messages": 5}) as client:
        last: dict[str, Any] = {}
        codes = []
        for _ in range(4):
            answer = await client.post(PATH, json={"model": "echo", "input": "hi", **last})
            codes.append(answer.status_code)
            last = {"previous_response_id": answer.json()["id"]} if answer.status_code == 200 else last
    assert codes == [200, 200, 200, 400]
    assert answer.json()["error"]["param"] == "input"


async def test_the_input_is_listed_in_pages(ask, client) -> None:
    items = [{"role": "user", "content": f"say {n}"} for n in range(5)]
    items.append({"role": "assistant", "content": "said"})
    response_id = await made(ask, input=items)

    async def page(**options: Any) -> ResponseItemList:
        answer = await client.get(f"{PATH}/{response_id}/input_items", params=options)
        assert answer.status_code == 200, answer.text
        return ResponseItemList.model_validate_json(answer.content, strict=True)

    whole = await page()
    assert [item.content[0].text for item in whole.data] == ["said", "say 4", "say 3", "say 2", "say 1", "say 0"]
    assert (whole.has_more, whole.first_id, whole.last_id) == (False, whole.data[0].id, whole.data[-1].id)
    first = await page(order="asc", limit=4)
    assert (len(first.data), first.has_more) == (4, True)
    second = await page(order="asc", limit=4, after=first.last_id)
    assert [item.content[0].text for item in second.data] == ["say 4", "said"]
    assert not second.has_more


@pytest.mark.parametrize(("options", "param"), [("limit=0", "limit"), ("order=up", "order"), ("after=x", "after")])
async def test_a_wrong_page_is_refused(ask, client, options: str, param: str) -> None:
    answer = await client.get(f"{PATH}/{await made(ask)}/input_items?{options}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_reference_brings_the_stored_item(ask, gateway, client) -> None:
    asked = (await client.get(f"{PATH}/{await made(ask)}/input_items")).json()["data"][0]
    model = Told([], ANSWER)
    async with gateway(model) as other:
        body = {"model": "echo", "input": [{"id": asked["id"]}, {"role": "user", "content": "again"}]}
        response_id = checked(await other.post(PATH, json=body)).id
        listed = (await other.get(f"{PATH}/{response_id}/input_items?order=asc")).json()["data"]
    assert [message["content"] for message in model.calls[0]["messages"]] == ["one two three", "again"]
    assert listed[0] == asked


async def test_output_that_is_sent_back_is_taken_as_it_was_sent(ask) -> None:
    answer = checked(await ask(include=[]))
    sent = [item.to_dict() for item in answer.output]
    assert (await ask(input=[*sent, {"role": "user", "content": "hi"}])).status_code == 200


async def test_one_whose_server_is_gone_has_failed(client, stored) -> None:
    def add(response_id: str, age: timedelta) -> str:
        body = {"id": response_id, "object": "response", "status": "in_progress", "output": [], "background": True}
        stored.add(
            StoredResponse(
                id=response_id,
                owner="local",
                previous_id=None,
                status="in_progress",
                input_items=[],
                body=body,
                created_at=now() - age,
            )
        )
        return f"{PATH}/{response_id}"

    lost, working = add("resp_1", timedelta(minutes=12)), add("resp_2", timedelta(minutes=2))
    body = (await client.get(lost)).json()
    assert (body["status"], body["error"]["code"]) == ("failed", "server_error")
    assert "ended before" in body["error"]["message"]
    assert (await client.get(working)).json()["status"] == "in_progress"
    answer = await client.post(PATH, json={"model": "echo", "input": "x", "previous_response_id": "resp_2"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "previous_response_id")


async def test_old_ones_are_forgotten_when_new_ones_come(ask, client, stored) -> None:
    response_id = await made(ask)
    assert stored.prune(now() - timedelta(days=30)) == 0
    assert checked(await client.get(f"{PATH}/{response_id}")).id == response_id
    assert stored.prune(now() + timedelta(seconds=1)) == 1
    assert gone(await client.get(f"{PATH}/{response_id}"))
