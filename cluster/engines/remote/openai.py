"""A model behind any OpenAI-compatible endpoint: requests pass through, answers come back under our names.

A request is checked as every engine checks it, so that errors are the same whoever answers; what is beyond OpenAI's
basics is the provider's to check. Labels such as `user` and `metadata` are between a client and this cluster, and
are not sent on.
"""

from collections.abc import AsyncGenerator
from hashlib import blake2b
from typing import Any

from cluster.engines.chat_request import GENERATION, LABELS, NOTHING
from cluster.engines.remote import facts, refusals
from cluster.engines.remote.connection import FACTS_S
from cluster.engines.remote.engine import RemoteEngine
from cluster.engines.remote.lines import Events, parsed, written
from cluster.engines.remote.openai_answer import Chunks, Envelope, whole
from cluster.settings.remote import OpenAISettings
from cluster.types import Capabilities, ChatCall, Task

CHAT = "/chat/completions"
MODELS = "/models"
DONE = b"data: [DONE]\n\n"
EVENTS = ("text/event-stream",)
TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
PARAMETERS = (
    GENERATION
    | TOOLS
    | frozenset(
        {"messages", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs"}
        | {"response_format", "reasoning_effort", "verbosity"}
    )
)
LIMITS = ("max_completion_tokens", "max_tokens")  # the newer name wins
UNLISTED = (403, 404, 405, 501)  # not every provider lists its models, nor to every key: it is there all the same
FACTS_BYTES = 8 * 1024**2  # of a list of models: the longest known has a thousand entries in one


class OpenAIEngine(RemoteEngine[OpenAISettings]):
    """A chat engine that asks an OpenAI-compatible provider. Its health is told at RemoteEngine."""

    _facts: facts.Facts | None = None

    def told(self, found: facts.Facts) -> None:
        """What its provider's list says of the model, so that `start` need not ask."""
        self._facts = found

    @property
    def capabilities(self) -> Capabilities:
        """From the config, else as the provider lists the model, else OpenAI's own parameters and no pictures."""
        known = self._facts or facts.Facts(images=True)  # while nothing is known the provider decides
        images = known.images if self._settings.images is None else self._settings.images
        honoured = PARAMETERS | frozenset(self._settings.extra_parameters)
        if known.tools is False:
            honoured -= TOOLS
        return Capabilities(
            task=Task.CHAT,
            context_length=self._wanted_context or known.context_length or facts.ASSUMED_CONTEXT,
            images=bool(images),
            parameters=honoured - frozenset(self._settings.unsupported_parameters),
        )

    @property
    def revision(self) -> str:
        """As everywhere from afar, and another one with other defaults: an answer that was kept is not theirs."""
        said = self._settings.generation.said
        return (
            blake2b(f"{self._identity}\n{said}".encode(), digest_size=6).hexdigest() if said else super().revision
        )

    async def chat(self, call: ChatCall) -> bytes:
        """Answer with one `chat.completion`."""
        given = await self._checked(call)
        with self._counted():
            async with self._connection.ask(CHAT, self._body(given, stream=False)) as reply:
                await refusals.accepted(reply, self._connection, refusals.JSON_TYPES)
                return whole(await reply.whole(), self._envelope(call, given))

    async def stream(self, call: ChatCall) -> AsyncGenerator[bytes, None]:
        """Answer with server-sent events, each as it comes."""
        given = await self._checked(call)
        options = given.get("stream_options")
        chunks = Chunks(self._envelope(call, given), include_usage=bool(options and options.get("include_usage")))
        first_s = self._settings.timeouts.first_token_ms / 1000
        with self._counted():
            async with self._connection.ask(CHAT, self._body(given, stream=True), first_s=first_s) as reply:
                await refusals.accepted(reply, self._connection, EVENTS)
                events, done = Events(self._connection.name), False
                data: bytes | None = b""
                while not done and data is not None:
                    data = await reply.read()
                    for found in events.rest() if data is None else events.feed(data):
                        done = done or found == b"[DONE]"
                        if not done and (made := chunks.read(found)):
                            reply.begun = True
                            yield made
                if counts := chunks.end(done=done):
                    yield counts
                yield DONE
                await reply.drain()

    async def _checked(self, call: ChatCall) -> dict[str, Any]:
        able = self.capabilities
        return await self._read(call, able.parameters, images=able.images)

    def _body(self, given: dict[str, Any], *, stream: bool) -> bytes:
        sent = {name: value for name, value in given.items() if name not in LABELS | NOTHING}
        sent = {**self._settings.generation.said, **sent}
        if not stream:
            sent.pop("stream_options", None)
        if self._settings.token_limit is not None:
            limits = [sent.pop(name) for name in LIMITS if name in sent]
            sent |= {self._settings.token_limit: limits[0]} if limits else {}
        return written({**sent, "model": self._settings.model, "stream": stream})

    def _envelope(self, call: ChatCall, given: dict[str, Any]) -> Envelope:
        return Envelope(
            request_id=call.request_id,
            model=self._model,
            choices=given.get("n") or 1,
            connection=self._connection,
            logprobs=bool(given.get("logprobs")),
        )

    async def _learn(self) -> None:
        async with self._connection.ask(MODELS, total_s=FACTS_S) as reply:
            if reply.status in UNLISTED:
                self._facts = facts.Facts()
                return
            await refusals.accepted(reply, self._connection, refusals.JSON_TYPES)
            data = await reply.whole(FACTS_BYTES)
        self._facts = facts.of_listed(parsed(data, self._connection.name), self._settings.model)
