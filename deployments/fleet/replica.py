"""A chat model's replica: a shell that gives an engine its life, its health check and its streams."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager

from cluster.engines.factory import chat_engine
from cluster.settings import ModelSettings, Settings
from cluster.types import ChatCall, Health, ModelCard
from deployments.fleet.coalesce import Coalescer


class ModelReplica:
    """One replica of one chat model. Its constructor returns when the model is loaded."""

    async def __init__(self, model: ModelSettings, settings: Settings) -> None:  # type: ignore[misc]
        # Serve awaits an async constructor and calls a replica ready when it has returned.
        self._id = model.id
        self._kind = model.engine.kind
        self._memory = model.memory
        self._engine = chat_engine(model, settings)
        self._coalescer = Coalescer(max_events=settings.streaming.max_events_per_chunk)
        self._running = 0
        await self._engine.start()
        self._loaded = int(time.time())

    async def card(self) -> ModelCard:
        """What the model is and can do."""
        return ModelCard(
            id=self._id,
            engine=self._kind,
            revision=self._engine.revision,
            created=self._loaded,
            capabilities=self._engine.capabilities,
            memory_gib=self._memory,
        )

    async def chat(self, call: ChatCall) -> bytes:
        """One `chat.completion`, as JSON. Raises what ChatEngine.chat raises."""
        with self._counted():
            return await self._engine.chat(call)

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        """Server-sent events, joined under load. Raises what ChatEngine.stream raises."""
        with self._counted():
            async with aclosing(self._coalescer.join(self._engine.stream(call))) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def health(self) -> Health:
        """Whether the engine lives, and how many calls it is answering."""
        await self._engine.check_health()
        return Health(status="running", figures={"running": self._running})

    async def check_health(self) -> None:
        """Called by Serve every second; raising replaces this replica."""
        await self._engine.check_health()

    async def __del__(self) -> None:
        """Called by Serve when it stops the replica."""
        await self._engine.stop()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
