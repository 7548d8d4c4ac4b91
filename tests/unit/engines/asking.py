"""Asking a chat engine, and reading what it says."""

import asyncio
import json
import time
from typing import Any

from cluster.engines.protocol import ChatEngine
from cluster.types import ChatCall, Priority

SOON_S = 3.0  # what is stopped ends at once, left alone a long answer takes longer; a busy machine takes some of it
PROMPT = "Tell me about the sun and the mirror that follows it over the day"


def call(text: str = PROMPT, *, priority: Priority = Priority.INTERACTIVE, **parameters: Any) -> ChatCall:
    body = {"messages": [{"role": "user", "content": text}], **parameters}
    return ChatCall(body=json.dumps(body).encode(), request_id="call-1", priority=priority)


async def answer(engine: ChatEngine, **parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await engine.chat(call(**parameters)))
    return found


async def events(engine: ChatEngine, **parameters: Any) -> list[Any]:
    """The decoded events of a stream; the last is the string [DONE]."""
    found = []
    async for item in engine.stream(call(stream=True, **parameters)):
        assert item.endswith(b"\n\n")
        for event in item[:-2].split(b"\n\n"):
            assert event.startswith(b"data: ")
            text = event[6:].decode().strip()
            found.append(text if text == "[DONE]" else json.loads(text))
    return found


def text_of(chunks: list[Any], index: int = 0) -> str:
    choices = [choice for chunk in chunks if chunk != "[DONE]" for choice in chunk["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices if choice["index"] == index)


async def idle(engine: Any, within_s: float = SOON_S) -> None:
    """Until nothing runs."""
    start = time.perf_counter()
    while engine.running:
        assert time.perf_counter() - start < within_s, f"{engine.running} still running after {within_s} s"
        await asyncio.sleep(0.001)


async def begun(engine: Any, within_s: float = 10.0) -> None:
    """Until something runs. A call that ended before anybody looked fails the test, which waited for ever once."""
    start = time.perf_counter()
    while not engine.running:
        assert time.perf_counter() - start < within_s, f"nothing ran within {within_s} s"
        await asyncio.sleep(0)
