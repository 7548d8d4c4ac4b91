"""vLLM: its asynchronous engine and its own OpenAI serving classes, behind our protocol.

On a CPU the engine core is forked (vllm_process) and prompts are never cut (vllm_args.fit_batch). On CUDA it
runs as vLLM would run it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from cluster import torchvision_ops
from cluster.engines import (
    strict_tools,
    vllm_llama,
    vllm_norms,
    vllm_priority,
    vllm_sampling,
    vllm_timing,
    vllm_tokens,
)
from cluster.engines.hub import fetch
from cluster.engines.images import blank, has_pictures
from cluster.engines.learned import Learned
from cluster.engines.plain_text import PlainText, plain_text_for
from cluster.engines.template_options import template_options
from cluster.engines.vllm_answer import Amends
from cluster.engines.vllm_args import fit_batch, server_arguments
from cluster.engines.vllm_completion import HONOURED, read_raw
from cluster.engines.vllm_process import engine_process, quiet_environment, quiet_log, threads
from cluster.engines.vllm_request import (
    blamed,
    constrained,
    equal_choices,
    error_of,
    honoured,
    read_call,
    translate,
)
from cluster.engines.weights import revision_of
from cluster.errors import BadRequest, EngineDead, EngineFailure, HeliostatError, StartFailed
from cluster.settings.engines import VllmSettings
from cluster.settings.limits import LimitSettings
from cluster.settings.models import HubSettings
from cluster.types import CallKind, Capabilities, ChatCall, Task, TokenizeCall, Tokenized

STOP_TIMEOUT_S = 5.0  # how long the engine's process may take to end before it is killed
SEQUENCES_A_TOKEN = 24  # with so many more, one more token to an event
MOST_TOKENS = 4  # of an event: a reader sees a stream move at least every few steps
ERROR_EVENT = 'data: {"error"'  # how vLLM's streams begin the event of a failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A started engine. engine: vLLM's AsyncLLM. The others are its serving classes."""

    engine: Any
    chat: Any
    completion: Any
    tokenization: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call on its way into vLLM. request: vLLM's own. create: what answers it. amends: to its answer."""

    request: Any
    create: Any
    amends: Amends


class VllmEngine(Learned):
    """A chat engine on vLLM. source: a folder or a Hub id. context_length: None takes the model's own."""

    def __init__(
        self,
        settings: VllmSettings,
        model: str,
        *,
        source: str,
        context_length: int | None = None,
        hub: HubSettings | None = None,
        limits: LimitSettings | None = None,
    ) -> None:
        self._settings = settings
        self._limits = limits or LimitSettings()
        self._model = model
        self._source = source
        self._hub = hub or HubSettings()
        self._parameters = honoured(tools=settings.tool_call_parser is not None)
        self._capabilities = Capabilities(
            task=Task.CHAT,
            context_length=context_length or 0,
            parameters=self._parameters,
            completion=HONOURED,
        )
        self._wanted_context = context_length
        self._running: Running | None = None
        self._call_tokens: bool | None = None
        self._plain = PlainText()
        self._options: frozenset[str] = frozenset()

    @property
    def running(self) -> int:
        """Sequences that wait or generate now."""
        return 0 if self._running is None else int(self._running.engine.get_num_unfinished_requests())

    async def start(self) -> None:
        """Import vLLM, load the model, fork the core. Raises StartFailed with the reason."""
        if self._running is not None:
            return
        starter = ThreadPoolExecutor(1, thread_name_prefix="vllm-start")  # new: see vllm_process on forks
        try:
            engine, arguments = await asyncio.get_running_loop().run_in_executor(starter, self._load)
            self._running = await _serve(engine, arguments)
        except HeliostatError:
            raise
        except Exception as error:  # whatever a model's files make vLLM raise, it means: not this model
            raise StartFailed(f"vLLM cannot load {self._model} from {self._source}: {error}") from error
        finally:
            starter.shutdown(wait=False)
        vllm_timing.watch(engine.output_processor)
        config = engine.model_config
        self._capabilities = Capabilities(
            task=Task.CHAT,
            context_length=config.max_model_len,
            images=bool(config.is_multimodal_model),
            parameters=self._parameters,
            completion=HONOURED,
        )
        tokenizer = engine.get_tokenizer()
        self._plain = plain_text_for(tokenizer)
        self._options = template_options(getattr(tokenizer, "chat_template", None))
        if self._settings.tool_call_parser in strict_tools.PARSERS:
            self._call_tokens = {strict_tools.START, strict_tools.END} <= tokenizer.get_vocab().keys()
        commit = getattr(config.hf_config, "_commit_hash", None)
        self._revision = await asyncio.to_thread(revision_of, self._source, commit)
        await self._warm_up()

    async def stop(self) -> None:
        """End the engine's process."""
        running, self._running = self._running, None
        if running is not None:
            if running.engine.output_handler is not None:
                running.engine.output_handler.cancel()  # or it would log the end of the core as its death
            await asyncio.to_thread(running.engine.shutdown, STOP_TIMEOUT_S)
            await asyncio.sleep(0)  # vLLM closes its sockets on the loop
            await asyncio.to_thread(running.engine.engine_core.resources.ctx.destroy, 0)  # and leaves this open

    async def check_health(self) -> None:
        """Raise EngineDead when the core has died, or is not there yet."""
        self._alive()

    async def chat(self, call: ChatCall) -> bytes:
        """Answer with one `chat.completion`, or `text_completion`."""
        asked = await self._asked(call, stream=False)
        request = asked.request
        try:
            response = await asked.create(request, None)
        except Exception as error:  # vLLM raises many kinds; `translate` knows them
            raise self._blamed(call, request, translate(error)) from error
        if hasattr(response, "error"):
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError  # vLLM turns a cancellation into an error object
            raise self._blamed(call, request, error_of(response.error.model_dump()))
        return asked.amends.whole(response.model_dump_json())

    async def stream(self, call: ChatCall) -> AsyncGenerator[bytes, None]:
        """Answer with server-sent events."""
        asked = await self._asked(call, stream=True)
        request = asked.request
        # Read as a request begins: with many sequences a stream's first token is an event, and then every few are.
        self._alive().engine.output_processor.stream_interval = tokens_an_event(self.running)
        try:
            response = await asked.create(request, None)
        except Exception as error:  # as in `chat`
            raise self._blamed(call, request, translate(error)) from error
        if hasattr(response, "error"):
            raise self._blamed(call, request, error_of(response.error.model_dump()))
        # A constrained stream's first events, the roles, come before vLLM knows whether the schema compiles: they
        # wait for what follows, so that a schema that does not has a status of its own.
        roles = call.kind is CallKind.CHAT and constrained(request)
        held, holding = b"", request.n or 1 if roles else 0
        async with aclosing(response) as lines:
            async for line in lines:
                if line.startswith(ERROR_EVENT):
                    raise self._blamed(call, request, error_of(json.loads(line.removeprefix("data: "))["error"]))
                held += asked.amends.event(line)
                if holding:
                    holding -= 1
                    continue
                yield held
                held = b""

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a text, or of messages in the model's template, pictures included."""
        running = self._alive()
        return await vllm_tokens.tokenize(
            running.tokenization, call, pictures=self._pictures, plain=self._plain, options=self._options
        )

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones included."""
        return await vllm_tokens.detokenize(self._alive().tokenization, tokens)

    async def _asked(self, call: ChatCall, *, stream: bool) -> Asked:
        running = self._alive()
        if call.kind is CallKind.COMPLETION:
            raw = await read_raw(call, self._model, tokenization=running.tokenization, stream=stream)
            copies = equal_choices(raw, self._default_temperature(running.completion))
            create = running.completion.create_completion
            return Asked(request=raw, create=create, amends=Amends(copies=copies))
        request, named = await read_call(
            call,
            self._model,
            self._parameters,
            pictures=self._pictures,
            stream=stream,
            call_tokens=self._call_tokens,
            plain=self._plain,
            options=self._options,
        )
        copies = equal_choices(request, self._default_temperature(running.chat))
        create = running.chat.create_chat_completion
        return Asked(request=request, create=create, amends=Amends(copies=copies, named=named))

    @property
    def _pictures(self) -> LimitSettings | None:
        """The limits of pictures, None where the model sees none."""
        return self._limits if self._capabilities.images else None

    @staticmethod
    def _default_temperature(serving: Any) -> float:
        return float(serving.default_sampling_params.get("temperature", 1.0))

    async def _warm_up(self) -> None:
        """Answer before anybody asks: the first call compiles the template and starts thread pools, 1.5 s."""
        contents: list[Any] = ["Hello"]
        if self._capabilities.images:  # a picture's first way has costs of its own
            contents.append([{"type": "image_url", "image_url": {"url": blank()}}])
        for content in contents:
            body = {"model": self._model, "messages": [{"role": "user", "content": content}], "max_tokens": 2}
            with suppress(BadRequest):  # a model without a chat template says so to whoever asks it to chat
                await self.chat(ChatCall(body=json.dumps(body).encode(), request_id="warm-up"))

    def _load(self) -> tuple[Any, Any]:
        """The engine and its arguments; blocks for as long as that takes."""
        self._source = fetch(
            self._model,
            self._source,
            self._hub,
            self._settings.revision,
            allow_pickle=self._settings.allow_pickle,
            remote_code=self._settings.trust_remote_code,
        )
        quiet_environment(offline=True)  # all it needs is in the folder now
        torchvision_ops.install()  # also where the .pth is not, as in a bare checkout
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        quiet_log()
        cpu = current_platform.is_cpu()
        arguments = server_arguments(
            self._settings, self._model, self._source, self._wanted_context, self._hub, cpu=cpu
        )
        engine_arguments = AsyncEngineArgs.from_cli_args(arguments)
        if cpu:
            fit_batch(engine_arguments)
            vllm_sampling.install()
        fork = cpu and self._settings.tensor_parallel_size == 1
        if fork:  # a process that is started anew would not know them
            vllm_norms.install(engine_arguments)
            vllm_priority.install()
            if engine_arguments.enforce_eager:  # a compiled model has no detours
                vllm_llama.install()
        with engine_process(fork=fork, threads=threads(self._source)) as context:
            try:
                return AsyncLLM.from_engine_args(engine_arguments), arguments
            except Exception as error:
                if words := context.last_words():  # the error itself says only that there was one
                    raise RuntimeError(words) from error
                raise

    def _alive(self) -> Running:
        if self._running is None:
            raise EngineDead(f"The engine of {self._model} is not running")
        if self._running.engine.errored:
            raise EngineDead(f"The engine of {self._model} has died", retry_after_s=1.0)
        return self._running

    def _blamed(self, call: ChatCall, request: Any, error: HeliostatError) -> HeliostatError:
        """A living engine's failure on a request that has what it may not be able to take is the request's."""
        raw = call.kind is CallKind.COMPLETION
        if raw and error.param in ("messages", "input_text", "input_tokens"):
            error.param = "prompt"
        # vLLM's own request holds pictures as an iterator.
        pictures = not raw and has_pictures(json.loads(call.body)["messages"])
        return blamed(request, self._or_dead(error), pictures=pictures)

    def _or_dead(self, error: HeliostatError) -> HeliostatError:
        """A failure of a dead engine is its death, whatever vLLM called it."""
        if isinstance(error, EngineFailure) and (self._running is None or self._running.engine.errored):
            return EngineDead(f"The engine of {self._model} died", retry_after_s=1.0)
        return error


def tokens_an_event(sequences: int) -> int:
    """How many tokens share an event of a stream, the first token apart: each event costs some 0.4 ms of CPU."""
    return min(1 + sequences // SEQUENCES_A_TOKEN, MOST_TOKENS)


async def _serve(engine: Any, arguments: Any) -> Running:
    """vLLM's serving classes over the engine."""
    from starlette.datastructures import State
    from vllm.entrypoints.openai.api_server import init_app_state

    state = State()
    await init_app_state(engine, state, arguments, await engine.get_supported_tasks())
    chat = getattr(state, "openai_serving_chat", None)
    if chat is None:
        raise StartFailed("The model does not generate text", hint="set task: embedding for an embedding model")
    return Running(
        engine=engine,
        chat=chat,
        completion=state.openai_serving_completion,
        tokenization=state.serving_tokenization,
    )
