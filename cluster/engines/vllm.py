"""vLLM: its asynchronous engine and its own OpenAI serving classes, behind our protocol.

On a CPU the engine core is forked (vllm_process) and prompts are never cut (vllm_args.fit_batch). On CUDA it
runs as vLLM would run it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from cluster import torchvision_ops
from cluster.engines import strict_tools
from cluster.engines.hub import fetch
from cluster.engines.images import blank, has_pictures
from cluster.engines.vllm_args import fit_batch, server_arguments
from cluster.engines.vllm_process import engine_process, quiet_environment, quiet_log, threads
from cluster.engines.vllm_request import blamed, constrained, error_of, honoured, read_call, translate
from cluster.engines.weights import revision_of
from cluster.errors import BadRequest, EngineDead, EngineFailure, HeliostatError, StartFailed
from cluster.settings import HubSettings, LimitSettings, VllmSettings
from cluster.types import Capabilities, ChatCall, Task

STOP_TIMEOUT_S = 5.0  # how long the engine's process may take to end before it is killed
ERROR_EVENT = 'data: {"error"'  # how vLLM's streams begin the event of a failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A started engine. engine: vLLM's AsyncLLM. serving: its OpenAI chat class."""

    engine: Any
    serving: Any


class VllmEngine:
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
            task=Task.CHAT, context_length=context_length or 0, parameters=self._parameters
        )
        self._wanted_context = context_length
        self._revision = ""
        self._running: Running | None = None
        self._call_tokens: bool | None = None

    @property
    def capabilities(self) -> Capabilities:
        """The context length and whether the model sees images are known after `start`."""
        return self._capabilities

    @property
    def revision(self) -> str:
        """A hash of the model's files, or the Hub's commit."""
        return self._revision

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
            self._running = Running(engine=engine, serving=await _serve(engine, arguments))
        except HeliostatError:
            raise
        except Exception as error:  # whatever a model's files make vLLM raise, it means: not this model
            raise StartFailed(f"vLLM cannot load {self._model} from {self._source}: {error}") from error
        finally:
            starter.shutdown(wait=False)
        config = engine.model_config
        self._capabilities = Capabilities(
            task=Task.CHAT,
            context_length=config.max_model_len,
            images=bool(config.is_multimodal_model),
            parameters=self._parameters,
        )
        if self._settings.tool_call_parser in strict_tools.PARSERS:
            self._call_tokens = {strict_tools.START, strict_tools.END} <= engine.get_tokenizer().get_vocab().keys()
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
        """Answer with one `chat.completion`."""
        serving = self._alive().serving
        request = await self._request(call, stream=False)
        try:
            response = await serving.create_chat_completion(request, None)
        except Exception as error:  # vLLM raises many kinds; `translate` knows them
            raise self._blamed(call, request, translate(error)) from error
        if hasattr(response, "error"):
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError  # vLLM turns a cancellation into an error object
            raise self._blamed(call, request, error_of(response.error.model_dump()))
        return bytes(response.model_dump_json(), "utf-8")

    async def stream(self, call: ChatCall) -> AsyncGenerator[bytes, None]:
        """Answer with server-sent events."""
        serving = self._alive().serving
        request = await self._request(call, stream=True)
        try:
            response = await serving.create_chat_completion(request, None)
        except Exception as error:  # as in `chat`
            raise self._blamed(call, request, translate(error)) from error
        if hasattr(response, "error"):
            raise self._blamed(call, request, error_of(response.error.model_dump()))
        # A constrained stream's first events, the roles, come before vLLM knows whether the schema compiles: they
        # wait for what follows, so that a schema that does not has a status of its own.
        held, holding = b"", request.n or 1 if constrained(request) else 0
        async with aclosing(response) as lines:
            async for line in lines:
                if line.startswith(ERROR_EVENT):
                    raise self._blamed(call, request, error_of(json.loads(line.removeprefix("data: "))["error"]))
                held += line.encode()
                if holding:
                    holding -= 1
                    continue
                yield held
                held = b""

    async def _request(self, call: ChatCall, *, stream: bool) -> Any:
        limits = self._limits if self._capabilities.images else None
        return await read_call(
            call,
            self._model,
            self._parameters,
            pictures=limits,
            stream=stream,
            call_tokens=self._call_tokens,
        )

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
        self._source = fetch(self._model, self._source, self._hub, self._settings.revision)
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
        with engine_process(fork=cpu and self._settings.tensor_parallel_size == 1, threads=threads(self._source)):
            return AsyncLLM.from_engine_args(engine_arguments), arguments

    def _alive(self) -> Running:
        if self._running is None:
            raise EngineDead(f"The engine of {self._model} is not running")
        if self._running.engine.errored:
            raise EngineDead(f"The engine of {self._model} has died", retry_after_s=1.0)
        return self._running

    def _blamed(self, call: ChatCall, request: Any, error: HeliostatError) -> HeliostatError:
        """A living engine's failure on a request that has what it may not be able to take is the request's."""
        pictures = has_pictures(json.loads(call.body)["messages"])  # vLLM's own request holds them as an iterator
        return blamed(request, self._or_dead(error), pictures=pictures)

    def _or_dead(self, error: HeliostatError) -> HeliostatError:
        """A failure of a dead engine is its death, whatever vLLM called it."""
        if isinstance(error, EngineFailure) and (self._running is None or self._running.engine.errored):
            return EngineDead(f"The engine of {self._model} died", retry_after_s=1.0)
        return error


async def _serve(engine: Any, arguments: Any) -> Any:
    """vLLM's chat class over the engine."""
    from starlette.datastructures import State
    from vllm.entrypoints.openai.api_server import init_app_state

    state = State()
    await init_app_state(engine, state, arguments, await engine.get_supported_tasks())
    serving = getattr(state, "openai_serving_chat", None)
    if serving is None:
        raise StartFailed("The model does not generate text", hint="set task: embedding for an embedding model")
    return serving
