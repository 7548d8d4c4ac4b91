"""A chat model's replica: a shell that gives an engine its life, its health check and its streams.

A replica whose engine has died refuses what comes at once, and then ends itself: Serve learns of a dead process
within milliseconds and sends nobody there, of a living one that fails its health checks within seconds.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress

from cluster import collector
from cluster.engines.card import loaded_card
from cluster.engines.factory import chat_engine
from cluster.errors import EngineDead, ProviderAway, ProviderFailure
from cluster.gpus import GpuMemory, nvml
from cluster.settings.models import ModelSettings
from cluster.settings.tree import Settings
from cluster.timing import Watch
from cluster.types import ChatAnswer, ChatCall, Health, ModelCard, TokenizeCall, Tokenized
from deployments.fleet.coalesce import Coalescer
from deployments.fleet.ending import Ending
from deployments.fleet.memory import own_pids, taken_gib
from deployments.fleet.people import People
from deployments.fleet.waits import Waits


class ModelReplica:
    """One replica of one chat model. Its constructor returns when the model is loaded."""

    async def __init__(self, model: ModelSettings, settings: Settings) -> None:  # type: ignore[misc]
        # Serve awaits an async constructor and calls a replica ready when it has returned.
        self._model = model
        self._device = settings.device_of(model)
        self._engine = chat_engine(model, settings)
        self._coalescer = Coalescer(max_events=settings.streaming.max_events_per_chunk)
        self._running = 0
        self._waits = Waits(gateways=settings.gateway.replicas)
        self._people = People()
        self._ending = Ending(model.id)
        self._gpu = GpuMemory(nvml() if self._device == "cuda" else None)
        with collector.paused():
            await self._engine.start()
        self._gpu.loaded()
        self._loaded = int(time.time())

    async def card(self) -> ModelCard:
        """What the model is and can do."""
        return loaded_card(self._model, self._engine, created=self._loaded)

    async def chat(self, call: ChatCall) -> ChatAnswer:
        """One `chat.completion`, as JSON. Raises what ChatEngine.chat raises."""
        with self._counted():
            self._people.heard(call)
            watch = Watch()
            body = await self._engine.chat(call)
            timing = watch.whole()
            self._waits.whole(call, timing)
            return ChatAnswer(body=body, timing=timing, people=self._people.seen)

    async def stream(self, call: ChatCall) -> AsyncIterator[ChatAnswer | bytes]:
        """Server-sent events, joined under load, the first with its timing. Raises as ChatEngine.stream does."""
        with self._counted(), self._waits.stream(call) as began:
            self._people.heard(call)
            watch = Watch()
            async with aclosing(self._coalescer.join(self._engine.stream(call))) as chunks:
                async for first in chunks:
                    began()
                    yield ChatAnswer(body=first, timing=watch.opened(), people=self._people.seen)
                    break
                async for chunk in chunks:
                    yield chunk

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a text, or of messages. Raises what ChatEngine.tokenize raises."""
        with self._ends_with_engine():
            return await self._engine.tokenize(call)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens. Raises what ChatEngine.detokenize raises."""
        with self._ends_with_engine():
            return await self._engine.detokenize(tokens)

    async def health(self) -> Health:
        """Whether the engine lives, how many calls it is answering, and what memory it takes, in GiB."""
        with self._ends_with_engine():
            await self._engine.check_health()
        figures = {"running": float(self._running)}
        taken = await asyncio.to_thread(self._taken)
        if taken is not None:
            figures["memory_gib"] = taken
        return Health(status="running", figures=figures)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Serve for the model's autoscaling policy, some times a minute, where it has one."""
        return self._waits.figures()

    async def check_health(self) -> None:
        """Called by Serve every second; raising replaces this replica, which brings no remote provider back."""
        with suppress(ProviderAway, ProviderFailure), self._ends_with_engine():
            await self._engine.check_health()

    async def __del__(self) -> None:
        """Called by Serve when it stops the replica."""
        self._ending.expected()
        await self._engine.stop()

    def _taken(self) -> float | None:
        """GiB of the machine's memory, or of its GPUs' where it runs there; None where nobody knows."""
        if self._device == "cpu":
            return taken_gib()
        return self._gpu.taken(own_pids())

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._running += 1
        try:
            with self._ends_with_engine():
                yield
        finally:
            self._running -= 1

    @contextmanager
    def _ends_with_engine(self) -> Iterator[None]:
        try:
            yield
        except EngineDead as error:
            self._ending.begin(error)
            raise
