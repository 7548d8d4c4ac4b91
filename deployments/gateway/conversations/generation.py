"""One answer: the conversation's prompt is asked, shorter where it was too long, and its text handed on."""

import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from cluster.errors import (
    BadRequest,
    ContextTooLong,
    GenerationTimeout,
    HeliostatError,
    ImageTooLarge,
    Overloaded,
    ReplicaLost,
)
from cluster.stores.conversations import COMPLETED, ERROR, TERMINATED
from cluster.stores.database import storable
from cluster.stores.stream_journal import Ending
from deployments.gateway.chats import Chats, CheckedChat
from deployments.gateway.conversations.history import History
from deployments.gateway.conversations.live import FIRST_DELTA, Live
from deployments.gateway.errors import internal
from deployments.gateway.principal import Principal
from deployments.gateway.timing import broke

PREFIX = b"data: "
DONE = b"[DONE]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is asked, and by whom. parameters: chat's, as they were sent."""

    history: History
    model: str
    parameters: Mapping[str, Any]
    request_id: str
    principal: Principal

    async def checked(self, chats: Chats) -> CheckedChat:
        """The chat request of it. Raises what `Chats.check` raises, with the names that our own body has."""
        body = {
            **self.parameters,
            "model": self.model,
            "messages": self.history.messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        try:
            return await chats.check(
                json.dumps(body).encode(), request_id=self.request_id, principal=self.principal
            )
        except BadRequest as error:
            if error.param is not None and error.param.startswith("messages"):
                error.param = "content"
            raise


class Generation:
    """Answers one prompt into a live session."""

    def __init__(self, chats: Chats, live: Live, prompt: Prompt, chat: CheckedChat) -> None:
        self._chats = chats
        self._live = live
        self._prompt = prompt
        self._chat = chat
        self._finish_reason: str | None = None
        self._usage: Mapping[str, int] | None = None

    async def run(self) -> Ending:
        """Generate until the end, whatever that is; never raises but when the process ends."""
        try:
            async with self._live.generating(self._chats.timeout_s):
                await self._answer()
        except Exception as error:  # noqa: BLE001 - nobody waits for this task: its session has to say it
            if self._live.cut:  # Ray has errors of its own for what was cancelled
                return self._cut()
            return self._failed(error if isinstance(error, HeliostatError) else internal(error))
        return self._ending(COMPLETED)

    def _cut(self) -> Ending:
        if self._live.stop_error is not None:
            return self._failed(self._live.stop_error)
        if self._live.stop_reason is not None:
            return self._ending(TERMINATED, reason=self._live.stop_reason)
        message = f"The generation took longer than {self._chats.timeout_s:g} s"
        return self._failed(GenerationTimeout(message, hint="ask for fewer tokens, or raise the limit"))

    async def _answer(self) -> None:
        while True:
            try:
                return await self._read()
            except (ContextTooLong, ImageTooLarge):
                shorter = self._prompt.history.shorter()
                if shorter is None or self._live.last >= FIRST_DELTA:
                    raise
                self._prompt = replace(self._prompt, history=shorter)
                self._chat = await self._prompt.checked(self._chats)

    async def _read(self) -> None:
        async with aclosing(self._chats.events(self._chat)) as items:  # type: ignore[type-var]  # a generator
            async for item in items:
                text, tokens = self._taken(item)
                if text:
                    await self._live.room()
                    self._live.add(text, tokens)
        if self._finish_reason is None:
            raise ReplicaLost("The answer ended before it was finished")

    def _taken(self, item: bytes) -> tuple[str, int]:
        """The text of the events in an item, and in how many of them it came."""
        texts = []
        for line in item.split(b"\n\n"):
            if not line.startswith(PREFIX) or line.endswith(DONE):
                continue
            chunk = json.loads(line.removeprefix(PREFIX))
            self._usage = chunk.get("usage") or self._usage
            for choice in chunk.get("choices", ()):
                texts.append((choice.get("delta") or {}).get("content") or "")
                self._finish_reason = choice.get("finish_reason") or self._finish_reason
        said = [text for text in texts if text]
        return storable("".join(said)), len(said)

    def _failed(self, error: HeliostatError) -> Ending:
        self._live.error = broke(error)
        ending = self._ending(ERROR, reason=error.code)
        # Nothing was said and nothing failed: who is told to come back later must not find the question twice.
        forgotten = isinstance(error, Overloaded) and self._live.last < FIRST_DELTA
        return replace(ending, error_message=error.message, error_hint=error.hint, forgotten=forgotten)

    def _ending(self, status: str, *, reason: str | None = None) -> Ending:
        usage = self._usage or {}
        return Ending(
            status=status,
            reason=reason,
            finish_reason=self._finish_reason,
            prompt_tokens=usage.get("prompt_tokens"),
            tokens=usage.get("completion_tokens"),
            prompt_bytes=self._prompt.history.size,
            dropped=self._prompt.history.dropped,
        )
