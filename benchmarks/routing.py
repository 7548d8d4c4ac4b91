"""What routing costs a request to a loaded model: `python -m benchmarks.routing`.

A model that answers at once, behind all that a gateway has between a checked request and a model: the key's
account, the trail with its fallbacks, the queue's place, the breaker and the retries. Beside it the same model
asked directly. No network, no Ray: what is left is routing alone.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from cluster.config import resolve
from cluster.types import Capabilities, ChatCall, ModelCard, Task
from deployments.clients import Backends
from deployments.gateway.chats import Chats, CheckedChat
from deployments.gateway.limits.gate import open_gate
from deployments.gateway.principal import LOCAL
from deployments.gateway.routing.build import open_router

ROUNDS = 5000
BODY = b'{"model": "a", "messages": [{"role": "user", "content": "one two three"}]}'


class Instant:
    """A model that answers at once."""

    async def card(self) -> ModelCard:
        """A card like any."""
        can = Capabilities(task=Task.CHAT, context_length=4096)
        return ModelCard(id="a", engine="none", revision="r", created=1, capabilities=can)

    async def chat(self, call: ChatCall) -> bytes:  # noqa: ARG002  # the promise has it
        """The same bytes to everybody."""
        return b"{}"

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:  # noqa: ARG002
        """One item."""
        yield b"data: {}\n\n"


async def timed(ask: Callable[[], Awaitable[Any]]) -> list[float]:
    """Microseconds of each round, sorted; the first tenth, which warms up, is left out."""
    found = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        await ask()
        found.append((time.perf_counter() - begun) * 1e6)
    return sorted(found[ROUNDS // 10 :])


async def main() -> None:
    """Print a table."""
    engine = {"kind": "scripted"}
    settings = resolve(
        {"models": [{"id": "a", "engine": engine, "fallbacks": ["b"]}, {"id": "b", "engine": engine}]}, {}
    )
    gate, model = open_gate(settings), Instant()
    backends: Any = Backends(models={"a": model, "b": model})  # type: ignore[dict-item]  # as much as is asked
    chats = Chats(backends, settings, gate=gate, router=open_router(settings, gate=gate))
    chat: CheckedChat = await chats.check(BODY, request_id="r", principal=LOCAL)

    async def directly() -> None:
        await model.chat(chat.call)

    async def whole() -> None:
        await chats.whole(chat)

    async def streamed() -> None:
        async for _ in chats.events(chat):
            pass

    print("| way | p50 µs | p95 µs | p99 µs |\n|---|---|---|---|")  # it is what this is for
    for name, ask in (("the model alone", directly), ("routed, whole", whole), ("routed, streamed", streamed)):
        found = await timed(ask)
        parts = [statistics.median(found), found[int(len(found) * 0.95)], found[int(len(found) * 0.99)]]
        print(f"| {name} | " + " | ".join(f"{part:.1f}" for part in parts) + " |")


if __name__ == "__main__":
    asyncio.run(main())
