"""The shell around a model that makes one answer at a time: `transformers`, and what has a code of its own.

The event loop reads requests and writes events; tokenising has a thread, and generating has one. A client that
goes halts its generation at the next token.
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from cluster.engines.chat_request import GENERATION, check_generation, check_known, read_object, refusal, room
from cluster.engines.completions import Delta, Writer, events, whole
from cluster.engines.images import Picture, has_pictures, read_aside
from cluster.engines.raw_prompts import COMPLETION, TextWriter, read_completion
from cluster.engines.relay import Relay
from cluster.engines.sampling import SampledCompletion, SampledRequest, Sampling, sampling
from cluster.engines.tokenizing import Tokenizing, read
from cluster.engines.turns import Turns
from cluster.engines.vllm_request import check_messages
from cluster.errors import (
    BadRequest,
    EngineDead,
    EngineFailure,
    HeliostatError,
    StartFailed,
    UnsupportedParameter,
)
from cluster.settings.limits import LimitSettings
from cluster.types import CallKind, Capabilities, ChatCall, Task, TokenizeCall, Tokenized

STOP_TIMEOUT_S = 5.0  # how long a generation may take to see that it was halted
MESSAGE_FIELDS = {"role", "content", "name"}
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A request as its model takes it. tokens: of text and pictures together. inputs: the model's own business."""

    tokens: int
    inputs: Any


class LoadedModel(Protocol):
    """A model in memory. Its calls block: `generate` has a thread, and all others share one."""

    context_length: int
    images: bool
    raw: bool  # whether it takes prompts without its template
    revision: str
    parameters: frozenset[str]  # beyond those that every engine honours
    defaults: Mapping[str, Any]  # sampling.defaults

    def prepare(self, messages: list[dict[str, Any]], pictures: tuple[Picture, ...]) -> Prompt:
        """Tokenise. Raises BadRequest for messages that the model cannot take."""
        ...

    def prepare_raw(self, prompt: str | tuple[int, ...]) -> Prompt:
        """Tokenise a text as it stands. Raises BadRequest for a token outside the vocabulary. Only where `raw`."""
        ...

    def tokenize(self, wanted: Tokenizing) -> Tokenized:
        """The tokens of a text, or of messages. Raises BadRequest, UnsupportedParameter."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens. Raises BadRequest for a token outside the vocabulary."""
        ...

    def generate(self, prompt: Prompt, wanted: Sampling, relay: Relay) -> None:
        """Say an answer into the relay, and end it; return soon after `relay.halted`."""
        ...


class ThreadedEngine:
    """A chat engine over a model that `load` puts into memory; kind: the engine's name in errors."""

    def __init__(
        self,
        load: Callable[[], LoadedModel],
        model: str,
        *,
        kind: str,
        limits: LimitSettings,
        context_length: int = 0,
    ) -> None:
        self._load = load
        self._model = model
        self._kind = kind
        self._limits = limits
        self._capabilities = Capabilities(task=Task.CHAT, context_length=context_length, parameters=GENERATION)
        self._loaded: LoadedModel | None = None
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._generating = ThreadPoolExecutor(1, thread_name_prefix="generate")
        self._turns = Turns()
        self._running = 0
        self._died = ""

    @property
    def capabilities(self) -> Capabilities:
        """Exact once `start` has returned."""
        return self._capabilities

    @property
    def revision(self) -> str:
        """A hash of the model's files."""
        return self._loaded.revision if self._loaded is not None else ""

    @property
    def running(self) -> int:
        """Calls that wait or are answered now."""
        return self._running

    async def start(self) -> None:
        """Load the model and answer once. Raises StartFailed with the reason."""
        if self._loaded is not None:
            return
        try:
            loaded = await asyncio.get_running_loop().run_in_executor(self._generating, self._load)
        except HeliostatError:
            raise
        except Exception as error:  # whatever a model's files make a library raise, it means: not this model
            reason = " ".join(str(error).split())[:500] or type(error).__name__
            raise StartFailed(f"{self._kind} cannot load {self._model}: {reason}") from error
        self._loaded = loaded
        self._capabilities = Capabilities(
            task=Task.CHAT,
            context_length=loaded.context_length,
            images=loaded.images,
            parameters=GENERATION | {"messages"} | loaded.parameters,
            completion=COMPLETION | loaded.parameters if loaded.raw else frozenset(),
        )
        body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
        with suppress(BadRequest):  # a model without a chat template says so to whoever asks it to chat
            await self.chat(ChatCall(body=json.dumps(body).encode(), request_id="warm-up"))

    async def stop(self) -> None:
        """Let go of the model."""
        self._loaded = None
        for threads in (self._preparing, self._generating):
            await asyncio.to_thread(threads.shutdown, wait=True, cancel_futures=True)

    async def check_health(self) -> None:
        """Raise EngineDead when the device has failed, or the model is not there."""
        self._alive()

    async def chat(self, call: ChatCall) -> bytes:
        """Answer with one `chat.completion`."""
        request, prompts, writer = await self._read(call)
        return await whole(writer, len(prompts) * request.choices, self._deltas(request, prompts, call))

    async def stream(self, call: ChatCall) -> AsyncGenerator[bytes, None]:
        """Answer with server-sent events."""
        request, prompts, writer = await self._read(call)
        source = events(writer, len(prompts) * request.choices, self._deltas(request, prompts, call))
        async with aclosing(source) as lines:
            async for line in lines:
                yield line

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a text, or of messages of text."""
        loaded, wanted = self._alive(), read(call)
        if wanted.messages is not None:
            check_messages(wanted.messages, images=False)
            _check_fields(wanted.messages)
        return await self._prepared(loaded.tokenize, wanted)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return await self._prepared(self._alive().detokenize, tokens)

    async def _prepared(self, work: Callable[..., Result], *given: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._preparing, work, *given)

    async def _read(self, call: ChatCall) -> tuple[SampledRequest, tuple[Prompt, ...], Writer]:
        """Check the request and tokenise it. Raises BadRequest, ContextTooLong, UnsupportedParameter."""
        if call.kind is CallKind.COMPLETION:
            return await self._read_raw(call)
        request, prompt = await self._read_chat(call)
        return request, (prompt,), Writer(prompt_tokens=prompt.tokens, **self._signature(request, call))

    async def _read_raw(self, call: ChatCall) -> tuple[SampledRequest, tuple[Prompt, ...], Writer]:
        """The same of raw prompts."""
        loaded = self._alive()
        if not loaded.raw:
            raise UnsupportedParameter(f"{self._model} takes no raw prompts", hint="let it chat", param="prompt")
        request = read_completion(call.body, SampledCompletion, self._capabilities.completion)
        prompts, echoes = [], []
        for given in request.prompts:
            prompts.append(await self._prepared(loaded.prepare_raw, given))
            room(prompts[-1].tokens, request.limit, loaded.context_length, param="prompt")
            if request.echo:
                echo = given if isinstance(given, str) else await self._prepared(loaded.detokenize, given)
                echoes += [echo] * request.choices
        tokens = sum(prompt.tokens for prompt in prompts)
        signature = self._signature(request, call)
        return request, tuple(prompts), TextWriter(prompt_tokens=tokens, echoes=tuple(echoes), **signature)

    async def _read_chat(self, call: ChatCall) -> tuple[SampledRequest, Prompt]:
        loaded = self._alive()
        given = {name: value for name, value in read_object(call.body).items() if value is not None}
        check_known(given, self._capabilities.parameters)
        check_generation(given)
        messages = given.pop("messages", None)
        check_messages(messages, images=loaded.images)
        _check_fields(messages)
        try:
            request = SampledRequest.model_validate_json(json.dumps(given))
        except ValidationError as error:
            raise refusal(error) from None
        pictures = await read_aside(messages, self._limits) if has_pictures(messages) else ()
        prompt = await self._prepared(loaded.prepare, messages, pictures)
        room(prompt.tokens, request.limit, loaded.context_length)
        return request, prompt

    def _signature(self, request: SampledRequest, call: ChatCall) -> dict[str, Any]:
        """What a writer says of every answer."""
        return {
            "request_id": call.request_id,
            "model": self._model,
            "fingerprint": f"{self._kind}-{self.revision}",
            "include_usage": request.include_usage,
        }

    async def _deltas(
        self, request: SampledRequest, prompts: Sequence[Prompt], call: ChatCall
    ) -> AsyncGenerator[Delta, None]:
        self._running += 1
        try:
            async with self._turns.turn(call.priority):
                loaded = self._alive()
                for index in range(len(prompts) * request.choices):
                    prompt = prompts[index // request.choices]
                    left = loaded.context_length - prompt.tokens
                    wanted = sampling(request, loaded.defaults, room=left, choice=index % request.choices)
                    if wanted.max_tokens == 0:  # a prompt that is only echoed
                        yield Delta(index=index, finish_reason="length")
                        continue
                    async with aclosing(
                        self._said(loaded, prompt, wanted, Relay(request.stops, index=index))
                    ) as said:
                        async for delta in said:
                            yield delta
        finally:
            self._running -= 1

    async def _said(
        self, loaded: LoadedModel, prompt: Prompt, wanted: Sampling, relay: Relay
    ) -> AsyncGenerator[Delta, None]:
        """One choice. The turn is kept until its thread has ended, whoever leaves before."""
        task = asyncio.get_running_loop().run_in_executor(
            self._generating, self._generate, loaded, prompt, wanted, relay
        )
        try:
            async with aclosing(relay.deltas()) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            relay.halt()
            await asyncio.wait({task}, timeout=STOP_TIMEOUT_S)

    def _generate(self, loaded: LoadedModel, prompt: Prompt, wanted: Sampling, relay: Relay) -> None:
        """In the thread: the model's own failures become ours."""
        try:
            loaded.generate(prompt, wanted, relay)
        except HeliostatError as error:
            relay.fail(error)
        except Exception as error:  # noqa: BLE001 - a model's code raises what it likes; the engine goes on
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            if _device_failed(error):
                self._died = reason
                relay.fail(EngineDead(f"The device under {self._model} failed: {reason}", retry_after_s=1.0))
            else:
                relay.fail(EngineFailure(f"{self._model} failed: {reason}"))

    def _alive(self) -> LoadedModel:
        if self._died:
            raise EngineDead(f"The device under {self._model} failed: {self._died}", retry_after_s=1.0)
        if self._loaded is None:
            raise EngineDead(f"The engine of {self._model} is not running")
        return self._loaded


def _check_fields(messages: list[dict[str, Any]]) -> None:
    """Refuse what no template here is given: tool calls, refusals and their like."""
    for number, message in enumerate(messages):
        unknown = sorted(name for name in message.keys() - MESSAGE_FIELDS if message[name] is not None)
        if message["role"] == "tool" or unknown:
            param = f"messages.{number}.{unknown[0] if unknown else 'role'}"
            raise UnsupportedParameter(f"This model does not read {param}", hint="send text", param=param)


def _device_failed(error: Exception) -> bool:
    """Whether a GPU's context is gone, after which nothing works in this process."""
    torch = sys.modules.get("torch")  # where it was never imported, no device can have failed
    return (
        torch is not None
        and isinstance(error, torch.AcceleratorError)
        and not isinstance(error, torch.OutOfMemoryError)
    )
