"""llama.cpp: GGUF files, several sequences at once, in a process of its own (llama_cpp_process).

The header is read and checked here before llama.cpp sees the file. A call is tokenised first, so that one that
does not fit is refused in words; then each of its choices is a stream of llama.cpp's server, and closing it frees
its place. Whole answers are streams, too: only so does llama.cpp notice that nobody waits any more.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from cluster.engines import strict_tools
from cluster.engines.chat_request import GENERATION, room
from cluster.engines.completions import Delta, Writer, events, whole
from cluster.engines.learned import Learned
from cluster.engines.llama_cpp_answer import (
    CallReader,
    ChatReader,
    Piece,
    TextReader,
    chat_events,
    together,
    until_finished,
    whole_chat,
)
from cluster.engines.llama_cpp_client import CHATS, RAW, LlamaClient
from cluster.engines.llama_cpp_load import Plan, planned
from cluster.engines.llama_cpp_process import started
from cluster.engines.llama_cpp_request import (
    CHAT,
    HONOURED_RAW,
    TOOLS,
    ChatAsked,
    check_grammar,
    formatted,
    read_chat,
    read_messages,
    read_raw,
    sampled,
)
from cluster.engines.llama_cpp_wire import LlamaCompletion
from cluster.engines.plain_text import PlainText
from cluster.engines.raw_prompts import TextWriter
from cluster.engines.sampling import defaults
from cluster.engines.schema_limits import check_tools
from cluster.engines.template_options import check_options, template_options
from cluster.engines.tokenizing import Tokenizing, read, within
from cluster.engines.turns import Turns
from cluster.errors import BadRequest, EngineDead, UnsupportedParameter
from cluster.settings.engines import LlamaCppSettings
from cluster.settings.models import HubSettings
from cluster.types import CallKind, Capabilities, ChatCall, Task, TokenizeCall, Tokenized

KIND = "llama_cpp"


class LlamaCppEngine(Learned):
    """A chat engine on llama.cpp. context_length: of each sequence; None takes the file's own."""

    def __init__(
        self,
        settings: LlamaCppSettings,
        model: str,
        *,
        context_length: int | None = None,
        hub: HubSettings | None = None,
    ) -> None:
        self._settings = settings
        self._model = model
        self._hub = hub or HubSettings()
        self._wanted_context = context_length
        self._capabilities = Capabilities(
            task=Task.CHAT,
            context_length=context_length or 0,
            parameters=CHAT | GENERATION,
            completion=HONOURED_RAW,
        )
        self._client: LlamaClient | None = None
        self._turns = Turns(settings.max_num_seqs)
        self._running = 0
        self._templated = self._marks_calls = False
        self._vocabulary = 0
        self._plain = PlainText()
        self._options: frozenset[str] = frozenset()
        self._defaults: Mapping[str, Any] = defaults(settings.generation, {})

    @property
    def running(self) -> int:
        """Calls that wait or are answered now."""
        return self._running

    async def start(self) -> None:
        """Check the file, and load it in a new process. Raises StartFailed with the reason."""
        if self._client is not None:
            return
        plan = await asyncio.to_thread(planned, self._model, self._settings, self._hub, self._wanted_context)
        self._client = LlamaClient(await started(self._model, plan.load))
        try:
            await self._learn(plan)
            await self._warm_up()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the process."""
        client, self._client = self._client, None
        if client is not None:
            await client.process.stop()

    async def check_health(self) -> None:
        """Raise EngineDead when the process has ended, or is not there yet."""
        self._alive()

    async def chat(self, call: ChatCall) -> bytes:
        """Answer with one `chat.completion`, or `text_completion`."""
        if call.kind is CallKind.COMPLETION:
            texts, parts, count = await self._raw(call)
            return await whole(texts, count, parts)
        writer, pieces, choices = await self._chat(call)
        return await whole_chat(writer, choices, pieces)

    async def stream(self, call: ChatCall) -> AsyncGenerator[bytes, None]:
        """Answer with server-sent events."""
        if call.kind is CallKind.COMPLETION:
            texts, parts, count = await self._raw(call)
            source = events(texts, count, parts)
        else:
            writer, pieces, choices = await self._chat(call)
            source = chat_events(writer, choices, pieces)
        async with aclosing(source) as lines:
            async for line in lines:
                yield line

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a text, or of messages in the model's template."""
        client, wanted = self._alive(), read(call)
        text = wanted.prompt if wanted.messages is None else await self._prompt(wanted)
        # A template's text comes without the token that llama.cpp puts before every text.
        special = wanted.special or wanted.messages is not None
        if not wanted.return_token_strs:
            return Tokenized(tokens=tuple(await client.tokens(text or "", special=special)))
        found = await client.pieces(text or "", special=special)
        return Tokenized(tokens=tuple(token for token, _ in found), texts=tuple(piece for _, piece in found))

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones included."""
        return await self._alive().text(within(tokens, self._vocabulary))

    async def _chat(self, call: ChatCall) -> tuple[Writer, AsyncGenerator[Piece, None], int]:
        """Check a chat request and tokenise it. Raises BadRequest, ContextTooLong, UnsupportedParameter."""
        client = self._alive()
        asked = read_chat(call.body, self._capabilities.parameters, plain=self._plain, options=self._options)
        request, constrained = asked.request, asked.constrained
        self._check_template()
        if asked.grammar is not None:
            await asyncio.to_thread(check_grammar, asked.grammar)
        forced = await self._forced(asked)
        tokens = len(forced["prompt"]) if forced else await client.count(asked.said, constrained=constrained)
        limit = room(tokens, request.limit, self._capabilities.context_length)
        body, named = forced or asked.said | formatted(asked), request.named is not None
        sources = [
            self._choice(
                RAW if forced else CHATS,
                body | self._sampled(request, choice=index, limit=limit),
                CallReader(index, request.stops, named=named)
                if forced
                else ChatReader(index, request.stops, top=asked.figures, named=named),
                call,
                constrained=constrained,
            )
            for index in range(request.choices)
        ]
        writer = Writer(prompt_tokens=tokens, **self._signature(request.include_usage, call))
        return writer, self._counted(sources), request.choices

    async def _forced(self, asked: ChatAsked) -> dict[str, Any] | None:
        """The body of a request for a call that must be made: llama.cpp itself lets a model talk on before it."""
        grammar = asked.call_grammar
        if grammar is None:
            return None
        if not self._marks_calls:
            hint = "leave tool_choice out"
            raise UnsupportedParameter("This model's calls cannot be forced", hint=hint, param="tool_choice")
        await asyncio.to_thread(check_grammar, grammar, "tools")
        prompt = await self._alive().prompt(asked.said, constrained="tools")
        return {"prompt": await self._alive().tokens(prompt, special=True), "grammar": grammar}

    async def _raw(self, call: ChatCall) -> tuple[TextWriter, AsyncGenerator[Delta, None], int]:
        """The same of raw prompts."""
        self._alive()
        request, context = read_raw(call.body), self._capabilities.context_length
        prompts, echoes = [], []
        for given in request.prompts:
            prompts.append(await self._prompt_tokens(given))
            room(len(prompts[-1]), request.limit, context, param="prompt")
            if request.echo:
                echo = given if isinstance(given, str) else await self.detokenize(given)
                echoes += [echo] * request.choices
        sources = [
            self._raw_choice(request, prompt, call, index=number * request.choices + choice, choice=choice)
            for number, prompt in enumerate(prompts)
            for choice in range(request.choices)
        ]
        signature = self._signature(request.include_usage, call)
        writer = TextWriter(prompt_tokens=sum(map(len, prompts)), echoes=tuple(echoes), **signature)
        return writer, self._counted(sources), len(sources)

    async def _raw_choice(
        self, request: LlamaCompletion, prompt: Sequence[int], call: ChatCall, *, index: int, choice: int
    ) -> AsyncGenerator[Delta, None]:
        if request.limit == 0:  # a prompt that is only echoed
            yield Delta(index=index, finish_reason="length")
            return
        body = {"prompt": list(prompt)} | self._sampled(request, choice=choice, limit=request.limit)
        async with aclosing(self._choice(RAW, body, TextReader(index, request.stops), call)) as parts:
            async for part in parts:
                yield part

    async def _choice(
        self,
        path: str,
        body: dict[str, Any],
        reader: ChatReader | CallReader | TextReader,
        call: ChatCall,
        *,
        constrained: str | None = None,
    ) -> AsyncGenerator[Any, None]:
        """One choice, once there is a place for it."""
        async with self._turns.turn(call.priority):
            chunks = self._alive().chunks(path, body, constrained=constrained)
            async with aclosing(until_finished(chunks, reader)) as parts:
                async for part in parts:
                    yield part

    async def _counted(self, sources: Sequence[AsyncGenerator[Any, None]]) -> AsyncGenerator[Any, None]:
        self._running += 1
        try:
            async with aclosing(together(sources)) as parts:
                async for part in parts:
                    yield part
        finally:
            self._running -= 1

    def _sampled(self, request: Any, *, choice: int, limit: int) -> dict[str, Any]:
        return sampled(
            request,
            self._defaults,
            choice=choice,
            limit=limit,
            context=self._capabilities.context_length,
            vocabulary=self._vocabulary,
        )

    def _signature(self, include_usage: bool, call: ChatCall) -> dict[str, Any]:
        """What a writer says of every answer."""
        return {
            "request_id": call.request_id,
            "model": self._model,
            "fingerprint": f"{KIND}-{self._revision}",
            "include_usage": include_usage,
        }

    async def _prompt(self, wanted: Tokenizing) -> str:
        """The template's text. Raises BadRequest and UnsupportedParameter."""
        self._check_template()
        if wanted.continue_final_message:
            param = "continue_final_message"
            raise UnsupportedParameter("This engine begins a new message always", hint="leave it out", param=param)
        check_tools(wanted.tools)
        check_options(wanted.chat_template_kwargs, self._options)
        given = {"tools": wanted.tools, "chat_template_kwargs": wanted.chat_template_kwargs}
        body = {
            "messages": read_messages(wanted.messages, self._plain),
            "add_generation_prompt": wanted.add_generation_prompt,
            **{name: value for name, value in given.items() if value},
        }
        return await self._alive().prompt(body, constrained="tools" if wanted.tools else None)

    async def _prompt_tokens(self, prompt: str | tuple[int, ...]) -> list[int]:
        if isinstance(prompt, str):
            found = await self._alive().tokens(prompt, special=True)
        else:
            wrong = next((token for token in prompt if token >= self._vocabulary), None)
            if wrong is not None:
                hint = f"0 to {self._vocabulary - 1}"
                raise BadRequest(f"prompt: {wrong} is not a token of this model", hint=hint, param="prompt")
            found = list(prompt)
        if not found:
            raise BadRequest("prompt holds no token", hint="send text", param="prompt")
        return found

    def _check_template(self) -> None:
        if not self._templated:
            raise BadRequest("The model has no chat template", hint="ask a model that chats", param="messages")

    def _alive(self) -> LlamaClient:
        if self._client is None:
            raise EngineDead(f"The engine of {self._model} is not running")
        self._client.process.check()
        return self._client

    async def _learn(self, plan: Plan) -> None:
        """What the engine needs to know of the model that runs now."""
        header = plan.header
        self._templated, self._vocabulary = header.chat_template is not None, header.vocabulary
        self._marks_calls = strict_tools.START in (header.chat_template or "")
        self._options = template_options(header.chat_template)
        self._defaults = defaults(self._settings.generation, header.sampling)
        self._revision = plan.revision
        client = self._alive()
        self._plain = await client.plain_text(header.control)
        tools = TOOLS if self._templated and await client.knows_tools() else frozenset()
        self._capabilities = Capabilities(
            task=Task.CHAT,
            context_length=plan.load.context,
            parameters=CHAT | GENERATION | tools,
            completion=HONOURED_RAW,
        )

    async def _warm_up(self) -> None:
        """Answer before anybody asks."""
        body = {"model": self._model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
        with suppress(BadRequest):  # a model without a chat template says so to whoever asks it to chat
            await self.chat(ChatCall(body=json.dumps(body).encode(), request_id="warm-up"))
