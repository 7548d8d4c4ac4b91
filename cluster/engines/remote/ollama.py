"""A model of an Ollama server, by its native API: requests and answers are translated, not passed through.

Answers are asked for as streams also where they are wanted whole, so that their times and sizes are bounded alike.
`n` answers are `n` requests at once, as Ollama makes one at a time. Where a request says nothing of its sampling,
the config's `options` speak, then the model's Modelfile.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from hashlib import blake2b
from typing import Any

from cluster.engines.remote import refusals
from cluster.engines.remote.connection import FACTS_S, Reply
from cluster.engines.remote.engine import RemoteEngine
from cluster.engines.remote.facts import ASSUMED_CONTEXT, length
from cluster.engines.remote.lines import Lines, parsed, written
from cluster.engines.remote.merging import merged
from cluster.engines.remote.ollama_answer import Choice, Head, Piece, Stream, Whole
from cluster.engines.remote.ollama_model import OllamaModel, model_of, too_old
from cluster.engines.remote.ollama_request import PARAMETERS, TOOLS, body_of, sampled
from cluster.errors import (
    BadRequest,
    ContextTooLong,
    HeliostatError,
    Overloaded,
    ProviderAway,
    ProviderFailure,
    ProviderRefused,
    UnsupportedParameter,
)
from cluster.settings.remote import OllamaSettings
from cluster.types import Capabilities, ChatCall, Task

DONE = b"data: [DONE]\n\n"
NDJSON = ("application/x-ndjson", "application/json")
LOGPROBS = frozenset({"logprobs", "top_logprobs"})
FACTS_BYTES = 16 * 1024**2  # /api/show repeats a licence and a template, and /api/tags has an entry a model


class OllamaEngine(RemoteEngine[OllamaSettings]):
    """A chat engine that asks an Ollama server. Its health is told at RemoteEngine."""

    _known: OllamaModel | None = None

    @property
    def capabilities(self) -> Capabilities:
        """As `/api/show` lists them, while nothing is known as if it could all.

        context_length: the config's, else the Modelfile's, else at most 8192 of what the model was made for, as a
        context costs the server memory; it is sent with each request.
        """
        known = self._known or OllamaModel()
        images = known.can("vision") if self._settings.images is None else self._settings.images
        honoured = PARAMETERS
        if not known.can("tools"):
            honoured -= TOOLS
        if not known.logprobs:
            honoured -= LOGPROBS
        return Capabilities(task=Task.CHAT, context_length=self._context(known), images=images, parameters=honoured)

    @property
    def revision(self) -> str:
        """The digest of the model, which changes with its weights; a hash of its name until that is known."""
        digest = self._known.digest if self._known else None
        return digest[:12] if digest else blake2b(self._identity.encode(), digest_size=6).hexdigest()

    async def chat(self, call: ChatCall) -> bytes:
        """Answer with one `chat.completion`."""
        bodies, _ = await self._bodies(call)
        answer = Whole(self._head(call), len(bodies))
        with self._counted():
            async with aclosing(self._pieces(bodies, call)) as pieces:
                async for piece in pieces:
                    answer.add(piece)
        return answer.written()

    async def stream(self, call: ChatCall) -> AsyncGenerator[bytes, None]:
        """Answer with server-sent events, each as it comes."""
        bodies, given = await self._bodies(call)
        options = given.get("stream_options")
        chunks = Stream(self._head(call), include_usage=bool(options and options.get("include_usage")))
        with self._counted():
            async with aclosing(self._pieces(bodies, call)) as pieces:
                async for piece in pieces:
                    if made := chunks.write(piece):
                        yield made
        if counts := chunks.end():
            yield counts
        yield DONE

    async def _bodies(self, call: ChatCall) -> tuple[list[bytes], dict[str, Any]]:
        """A request's body for each choice, and what was given. Raises as `chat` does."""
        able, known = self.capabilities, self._known or OllamaModel()
        given = await self._read(call, able.parameters, images=able.images)
        request = sampled(given)
        body = partial(
            body_of, given, request, settings=self._settings, known=known, context_length=able.context_length
        )
        return [written(body(choice=choice)) for choice in range(request.choices)], given

    def _pieces(self, bodies: list[bytes], call: ChatCall) -> AsyncGenerator[Piece, None]:
        return merged([self._choice(body, index, call) for index, body in enumerate(bodies)])

    async def _choice(self, body: bytes, index: int, call: ChatCall) -> AsyncGenerator[Piece, None]:
        name = self._connection.name
        choice, lines = Choice(index, name, call_id=call.request_id), Lines(name)
        first_s = self._settings.timeouts.first_token_ms / 1000
        async with self._connection.ask("/api/chat", body, first_s=first_s) as reply:
            await self._accept(reply)
            data: bytes | None = b""
            while not choice.ended and data is not None:
                data = await reply.read()
                for line in [lines.rest()] if data is None else lines.feed(data):
                    if line.strip() and not choice.ended:
                        reply.begun = True
                        yield choice.read(self._line(line))
            if not choice.ended:
                raise ProviderFailure(f"{name} broke off in the middle of its answer")
            await reply.drain()

    def _line(self, data: bytes) -> dict[str, Any]:
        line = parsed(data, self._connection.name)
        if line.get("error"):
            raise refusals.of_event(line["error"], self._connection)
        return line

    async def _accept(self, reply: Reply) -> None:
        """Raise for an answer that is an error, or of a type that is not what was asked for."""
        try:
            await refusals.accepted(reply, self._connection, NDJSON)
        except ProviderAway as error:  # Ollama's 503 is a full queue
            raise Overloaded(error.message, hint=error.hint, retry_after_s=error.retry_after_s) from None
        except ContextTooLong:
            size = self.capabilities.context_length
            raise ContextTooLong(
                f"This model's maximum context length is {size} tokens. However, your messages are longer. "
                "Please reduce the length of the messages.",
                param="messages",
            ) from None
        except BadRequest as error:
            if "does not support tools" in error.message:
                raise UnsupportedParameter(f"{self._model} calls no functions", param="tools") from None
            raise
        except ProviderRefused as error:
            if reply.status == 404:
                error.hint = f"`ollama pull {self._settings.model}` on its machine"
            raise

    async def _learn(self) -> None:
        version = (await self._fact("/api/version")).get("version")
        if too_old(version):
            raise ProviderRefused(
                f"{self._connection.name} is Ollama {version}, which cuts long prompts and does not tell",
                hint="0.12.6 or newer is needed",
            )
        shown = await self._fact("/api/show", {"model": self._settings.model})
        tags = await self._fact("/api/tags")
        self._known = model_of(shown, tags, version, name=self._settings.model)

    async def _fact(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        sent = None if body is None else written(body)
        async with self._connection.ask(path, sent, total_s=FACTS_S) as reply:
            try:
                await self._accept(reply)
            except HeliostatError as error:
                if reply.status == 404 and path == "/api/version":
                    raise ProviderFailure(f"{self._connection.name} is not an Ollama server") from error
                raise
            return parsed(await reply.whole(FACTS_BYTES), self._connection.name)

    def _context(self, known: OllamaModel) -> int:
        option = length(self._settings.options.get("num_ctx"))
        wanted = self._wanted_context or option or known.num_ctx or ASSUMED_CONTEXT
        return min(wanted, known.trained or wanted)

    def _head(self, call: ChatCall) -> Head:
        return Head(request_id=call.request_id, model=self._model, fingerprint=f"ollama-{self.revision}")
