import asyncio
import json

import httpx

API = "/api/v1"


async def conversation(graph: httpx.AsyncClient, **fields: str) -> str:
    made = await graph.post(f"{API}/conversations", json=fields)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def test_a_conversation_goes_on_through_gateway_and_replica(graph: httpx.AsyncClient) -> None:
    path = f"{API}/conversations/{await conversation(graph, model='echo', systemPrompt='be kind')}/messages"
    for words in ("hello graph", "and again"):
        answer = (await graph.post(path, json={"content": words, "stream": False})).json()
        assert (answer["message"]["content"], answer["session"]["provider"]) == (words, "scripted")
    assert answer["usage"]["prompt_tokens"] == 8, "the system prompt, the first turn and the question"
    said = (await graph.get(path)).json()
    assert [message["role"] for message in said["messages"]] == ["user", "assistant"] * 2


async def test_a_stream_goes_through_whole_and_is_read_again(graph: httpx.AsyncClient) -> None:
    path = f"{API}/conversations/{await conversation(graph, model='echo')}/messages"
    text = (await graph.post(path, json={"content": "one two"})).text
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in text.split("\n\n") if block]
    assert [block["event"] for block in blocks] == ["session", "delta", "delta", "done"]
    session = json.loads(blocks[0]["data"])["id"]
    again = await graph.get(f"{API}/stream-sessions/{session}/events", headers={"last-event-id": "2"})
    assert again.text == text[text.index("id: 3\n") :]


async def test_a_running_answer_is_stopped_from_elsewhere(graph: httpx.AsyncClient) -> None:
    talk = await conversation(graph, model="slow/echo")
    asking = asyncio.create_task(graph.post(f"{API}/conversations/{talk}/messages", json={"content": "a b"}))
    running: list[dict[str, str]] = []
    while not running:
        await asyncio.sleep(0.02)
        found = (await graph.get(f"{API}/stream-sessions", params={"conversationId": talk})).json()
        running = [one for one in found["streamSessions"] if one["partialResponse"]]
    stopped = (await graph.post(f"{API}/stream-sessions/{running[0]['id']}/stop")).json()
    assert (stopped["status"], stopped["terminationReason"]) == ("terminated", "stopped_by_client")
    assert stopped["partialResponse"].startswith("a b")
    assert "event: done" in (await asking).text
